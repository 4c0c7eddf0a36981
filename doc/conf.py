"""Sphinx settings; `make doc` builds."""

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
]
autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": False}
numpydoc_show_class_members = False
default_role = "code"
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
myst_heading_anchors = 2
# Docstrings that scikit-learn's base classes bring along point to its own glossary.
suppress_warnings = ["ref.term", "ref.ref"]
