"""The names of layouts (rows in memory) and forms (rows as an implementation gets them)."""

# For each layout the forms that an implementation may ask for (`dtypes` in its header), the
# default first. See the modules rows and forms.
LAYOUT_FORMS = {
    "floats": ("float32", "uint8", "int8"),
    "bits": ("bool", "packed"),
    "sets": ("lists", "csr"),
}
FORMS = tuple(form for forms in LAYOUT_FORMS.values() for form in forms)
