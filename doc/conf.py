"""Sphinx settings; `make doc` builds."""

import re
from importlib.metadata import version as installed_version

project = "sklsh"
author = "The sklsh developers"
copyright = "2026, The sklsh developers"
version = release = installed_version("sklsh")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["deflist", "dollarmath"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    # What a line returns is shown where it has a form of its own for pages: no matplotlib reprs.
    "capture_repr": ("_repr_html_",),
}
autosummary_generate = True
autodoc_mock_imports = ["flwr"]  # an extra that the documentation has no other use for
autodoc_default_options = {"members": True}
# What an estimator inherits is what people call: templates/autosummary/class.rst asks for it.
templates_path = ["templates"]
OF_SCIKIT_LEARN = re.compile(r"_|get_params|set_params|get_metadata_routing|set_\w+_request")


def leave_out(app, what, name, member, skip, options):
    """Machinery that scikit-learn documents once for all estimators."""
    return True if OF_SCIKIT_LEARN.match(name) else skip


def setup(app):
    app.connect("autodoc-skip-member", leave_out)


numpydoc_show_class_members = False
# Docstrings are checked as they are rendered: what is documented exists, sections are known.
# Not asked for: sections that a method of one line has no use for, and the wording that
# pandas prefers.
numpydoc_validation_checks = {
    "all",
    "ES01", "EX01", "SA01", "SA03", "SA04",
    "GL01", "GL02", "GL07", "GL08",
    "PR04", "PR06", "PR07", "PR08", "PR09",
    "RT01", "RT02", "RT03", "RT04", "RT05",
    "SS02", "SS03", "SS05", "SS06", "YD01",
}  # fmt: skip
# What scikit-learn's base classes bring along is theirs.
# Where parameters are listed all are, in their order; `tests/test_api_pages.py` says where they
# must be.
numpydoc_validation_overrides = {"PR01": [r"(?s)\A(?!.*\bParameters\n)"]}
numpydoc_validation_exclude = {
    r"federated\.Server$",  # beside its parameters it has a state
    r"\.(get|set)_(params|metadata_routing|.*_request)$",
}
toc_object_entries_show_parents = "hide"  # a class's methods by their own names
default_role = "code"
exclude_patterns = ["_build", "templates"]
html_title = project  # a longer one leaves no room for the search in the header of a telephone
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Where a column of navigation would be empty.
html_sidebars = {"index": [], "auto_examples/*": [], "benchmarks": [], "changes": []}
html_static_path = ["static"]
html_css_files = ["sklsh.css"]
html_show_sourcelink = False
myst_heading_anchors = 2
# Docstrings that scikit-learn's base classes bring along point to its own glossary.
suppress_warnings = ["ref.term", "ref.ref"]
