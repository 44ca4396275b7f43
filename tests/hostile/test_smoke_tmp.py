from jobs import EXACT, measured
def test_x(attack, level):
    m = measured(attack(EXACT, level=level)[0])
    print(m.environment, m.recall, m.notes, m.mailbox_floor_ns, m.build_s, m.index_bytes)
    print(m.log_tail)
