"""Floods: prints without end, and tries what a terminal or a CI log would obey."""


class Chatty:
    def __init__(self, metric):
        print("::error file=grading.toml::not an error\n\x1b[2J\x1b]0;not a title\x07")

    def fit(self, X):
        while True:
            print("<script>alert('page')</script> =HYPERLINK('cell') | row |" * 100)

    def query(self, v, k):
        return range(k)
