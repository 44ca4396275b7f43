"""The names of layouts and forms: how rows are kept, and how an implementation gets them."""

# How rows are kept, and the forms in which an implementation may ask for them (`dtypes` in its
# header); what it gets that asks for nothing stands first. See the modules rows and forms.
LAYOUT_FORMS = {
    "floats": ("float32", "uint8", "int8"),
    "bits": ("bool", "packed"),
    "sets": ("lists", "csr"),
}
FORMS = tuple(form for forms in LAYOUT_FORMS.values() for form in forms)
