"""The built pages in a browser, at the widths of a desk and a telephone: what stands out of them?

    make doc
    pip install playwright  # beside a Chromium that is installed
    python tools/look_at_pages.py [--chromium /usr/bin/chromium] [--pictures FOLDER]

Named are pages that scroll sideways, code that is cut off at 1400 pixels, empty columns of
navigation, headers of two rows, pictures that are not there, objects printed as where they are in
memory, and scripts that fail. Ends with 1 if there is any.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PAGES = Path(__file__).parents[1] / "doc" / "_build" / "html"
WIDTHS = (1400, 390)
HEADER = 80
"""Pixels of a header of one row."""

LOOK = """(header_height) => {
  const all = (what) => [...document.querySelectorAll(what)];
  const root = document.documentElement, found = [];
  if (root.scrollWidth > root.clientWidth + 1) found.push(`scrolls to ${root.scrollWidth}`);
  if (root.clientWidth > 1000)
    for (const code of all("pre")) if (code.scrollWidth > code.clientWidth + 2)
      found.push(`cut off: ${code.innerText.slice(0, 60)}`);
  const side = document.querySelector(".bd-sidebar-primary");
  if (root.clientWidth > 1000 && side && side.getBoundingClientRect().width > 0
      && !side.querySelector("nav.bd-links a")) found.push("an empty column of navigation");
  const header = document.querySelector("header.bd-header");
  if (header && header.getBoundingClientRect().height > header_height)
    found.push("a header of two rows");
  for (const image of document.images) if (!image.naturalWidth) found.push(`no ${image.src}`);
  for (const out of all(".sphx-glr-script-out pre"))
    if (/object at 0x|<matplotlib/.test(out.innerText)) found.push(out.innerText.slice(0, 60));
  return found;
}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--pictures", type=Path, help="a folder to keep a picture of each page in")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    pages = sorted(page for page in PAGES.rglob("*.html") if "_static" not in page.parts)
    if not pages:
        raise SystemExit(f"no pages in {PAGES}; `make doc` builds them")
    n_found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 900})
            errors: list[str] = []
            tab.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            for page in pages:
                errors.clear()
                tab.goto(page.as_uri())
                found = [*tab.evaluate(LOOK, HEADER), *errors]
                n_found += len(found)
                name = page.relative_to(PAGES)
                for what in found:
                    print(f"{width} {name}: {what}")
                if args.pictures:
                    path = args.pictures / str(width) / name.with_suffix(".png")
                    tab.screenshot(path=path, full_page=True)
    print(f"{len(pages)} pages at {' and '.join(map(str, WIDTHS))} pixels: {n_found} findings")
    return int(n_found > 0)


if __name__ == "__main__":
    sys.exit(main())
