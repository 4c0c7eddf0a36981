"""Data sets of other kinds for bench_classifier, from what Linux distributions ship.

    python benchmarks/make_sets.py --out FOLDER [--packages PACKAGES --descriptions TRANSLATION]
                                   [--wordnet DICT]

PACKAGES and TRANSLATION are Debian's ``Packages`` and ``Translation-en`` of a release, plain text
or ``.gz``/``.xz`` (dists/RELEASE/main/binary-amd64/ and main/i18n/ of any mirror); DICT holds
WordNet 3.0's ``data.noun`` and its like (package wordnet-base). Sets, made of the first:

- packages-depends: a package's name and one-line description; labels are what it depends on, a few
  of them on thousands of rows. packages-depends-long: with the long description.
- packages-tags: long description; labels are debtags, many a row.
- packages-source: long description; labels are source package, maintainer and section.

Of the second: glosses-lemmas (a gloss; labels are its words, most of one row) and
glosses-hypernyms (a gloss; labels are the synsets up to three steps above).

A fifth of the rows is for testing. Each set is a folder as `sklsh.datasets.load_xc` reads it.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import re
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import MultiLabelBinarizer

POINTERS = "@", "@i", "&", ";c"
"""WordNet's marks of hypernyms, instances, similar adjectives and topics."""

STEPS = 3


def text_of(path: str) -> str:
    """Of a plain or compressed file."""
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(Path(path).suffix, open)
    with opened(path, "rt", encoding="utf-8") as file:
        return file.read()


def paragraphs(path: str):
    """Fields of each paragraph of a Debian control file; folded lines are joined."""
    for paragraph in text_of(path).split("\n\n"):
        fields, key = {}, None
        for line in paragraph.split("\n"):
            if line[:1].isspace() and key is not None:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        if fields:
            yield fields


def listed(value: str) -> list[str]:
    """Names in a comma-separated field, without versions and alternatives."""
    return [re.split(r"[ (|:]", item.strip())[0] for item in value.split(",") if item.strip()]


def features(texts: list[str]) -> sp.csr_matrix:
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
    return vectorizer.fit_transform(texts).tocsr()


def indicators(lists: list[list[str]]) -> sp.csr_matrix:
    """One column a label, in the order of names."""
    return sp.csr_matrix(MultiLabelBinarizer(sparse_output=True).fit_transform(lists), dtype="f4")


def save(out: Path, name: str, X: sp.csr_matrix, Y: sp.csr_matrix) -> None:
    """Rows that have features and labels, in a random order, the first fifth for testing."""
    whole = np.flatnonzero((np.diff(X.indptr) > 0) & (np.diff(Y.indptr) > 0))
    rows = np.random.default_rng(0).permutation(whole)
    test, train = np.split(rows, [len(rows) // 5])
    (out / name).mkdir(parents=True, exist_ok=True)
    for part, of_part in ("train", train), ("test", test):
        sp.save_npz(out / name / f"X_{part}.npz", X[of_part])
        sp.save_npz(out / name / f"Y_{part}.npz", Y[of_part])
    print(f"{name}: {len(train)} rows, {X.shape[1]} features, {Y.shape[1]} labels")


def packages(out: Path, packages_file: str, descriptions_file: str) -> None:
    long_texts = {
        fields["Description-md5"]: fields.get("Description-en", "")
        for fields in paragraphs(descriptions_file)
        if "Description-md5" in fields
    }
    found = list(paragraphs(packages_file))
    names = [fields["Package"].replace("-", " ") for fields in found]
    lines = [fields.get("Description", "") for fields in found]
    longs = [
        long_texts.get(fields.get("Description-md5"), line)
        for fields, line in zip(found, lines, strict=True)
    ]
    short, long = (
        features([f"{name} {text}" for name, text in zip(names, texts, strict=True)])
        for texts in (lines, longs)
    )
    depends = indicators([listed(fields.get("Depends", "")) for fields in found])
    save(out, "packages-depends", short, depends)
    save(out, "packages-depends-long", long, depends)
    save(out, "packages-tags", long, indicators([listed_tags(fields) for fields in found]))
    save(out, "packages-source", long, indicators([origin(fields) for fields in found]))


def listed_tags(fields: dict[str, str]) -> list[str]:
    return [tag.strip() for tag in fields.get("Tag", "").split(",") if tag.strip()]


def origin(fields: dict[str, str]) -> list[str]:
    source = fields.get("Source", fields["Package"]).split()[0]
    return [f"s:{source}", f"m:{fields.get('Maintainer', '')}", f"c:{fields.get('Section', '')}"]


def wordnet(out: Path, folder: str) -> None:
    lemmas, parents, glosses = {}, {}, {}
    for letter, kind in ("n", "noun"), ("v", "verb"), ("a", "adj"), ("r", "adv"):
        for line in text_of(str(Path(folder) / f"data.{kind}")).splitlines():
            if line.startswith("  "):  # the licence
                continue
            body, _, gloss = line.partition("|")
            words = body.split()
            n_lemmas = int(words[3], 16)
            first = 4 + 2 * n_lemmas
            pointers = words[first + 1 : first + 1 + 4 * int(words[first])]
            key = letter, words[0]
            lemmas[key] = [word.lower() for word in words[4:first:2]]
            lemmas[key].append(f"file {words[1]}")
            parents[key] = [
                (kind.replace("s", "a"), offset)
                for mark, offset, kind in zip(
                    pointers[::4], pointers[1::4], pointers[2::4], strict=True
                )
                if mark in POINTERS
            ]
            glosses[key] = gloss.strip()
    X = features(list(glosses.values()))
    save(out, "glosses-lemmas", X, indicators(list(lemmas.values())))
    above = [ancestors(key, parents) for key in glosses]
    save(out, "glosses-hypernyms", X, indicators(above))


def ancestors(key, parents) -> list[str]:
    found, reached = [], [key]
    for _ in range(STEPS):
        reached = [parent for one in reached for parent in parents.get(one, [])]
        found += [" ".join(one) for one in reached]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--packages")
    parser.add_argument("--descriptions")
    parser.add_argument("--wordnet")
    args = parser.parse_args()
    if bool(args.packages) != bool(args.descriptions):
        parser.error("--packages and --descriptions go together")
    if args.packages:
        packages(args.out, args.packages, args.descriptions)
    if args.wordnet:
        wordnet(args.out, args.wordnet)


if __name__ == "__main__":
    main()
