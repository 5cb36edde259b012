"""What we ship of others is what its manifest says."""

import json
from hashlib import sha256
from pathlib import Path

import dashboard

VENDOR = Path(dashboard.__file__).parent / "static" / "vendor"
PACKAGES = json.loads((VENDOR / "manifest.json").read_text())["packages"]


def test_every_vendored_file_has_the_checksum_of_the_manifest():
    found = {
        package["directory"]: {
            path.name: sha256(path.read_bytes()).hexdigest() for path in (VENDOR / package["directory"]).iterdir()
        }
        for package in PACKAGES
    }

    assert found == {package["directory"]: package["files"] for package in PACKAGES}


def test_every_package_has_its_licence_and_nothing_lies_there_unlisted():
    assert {path.name for path in VENDOR.iterdir()} == {
        "manifest.json",
        *(package["directory"] for package in PACKAGES),
    }
    assert all("LICENSE" in package["files"] for package in PACKAGES)
    assert {package["licence"] for package in PACKAGES} == {"MIT", "0BSD"}


def test_every_icon_that_a_template_names_is_in_the_sprite():
    sprite = (VENDOR / "tabler-icons-3.51.0" / "sprite.svg").read_text()
    templates = Path(dashboard.__file__).parent / "templates"
    named = set()
    for template in templates.rglob("*.html"):
        text = template.read_text()
        named |= {part.split('"')[0] for part in text.split('{% icon "')[1:]}
        named |= {part.split('"')[0] for part in text.split('symbol="')[1:]}

    assert len(named) > 30
    assert {name for name in named if f'id="{name}"' not in sprite} == set()


def test_no_template_carries_inline_script_style_or_event_attributes():
    templates = Path(dashboard.__file__).parent / "templates"
    forbidden = (" style=", "<style", " onclick=", " onchange=", " onsubmit=", " onload=", "hx-on", "javascript:")
    found = {
        (template.name, word)
        for template in templates.rglob("*.html")
        for word in forbidden
        if word in template.read_text().lower()
    }

    assert found == set()
