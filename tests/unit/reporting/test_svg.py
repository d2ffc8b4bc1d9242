from xml.etree import ElementTree as ET

from job.reporting import svg

HOSTILE = '</text><script>alert(1)</script>" onload="x'


def test_text_and_attributes_are_escaped():
    drawn = svg.drawing((10, 10), HOSTILE, HOSTILE, [svg.text((1, 1), HOSTILE), svg.dot((1, 2), 3, "dot", HOSTILE)])
    root = ET.fromstring(drawn)
    assert [node.tag for node in root.iter()] == ["svg", "title", "desc", "text", "circle", "title"]
    assert root.find("text").text == HOSTILE
    assert "onload" not in root.attrib


def test_picture_says_what_it_shows():
    root = ET.fromstring(svg.drawing((10, 10), "Loss", "It falls.", []))
    assert root.attrib["role"] == "img"
    assert (root.find("title").text, root.find("desc").text) == ("Loss", "It falls.")


def test_numbers_are_short():
    assert svg.line((1 / 3, 0), (2.5, 10), "grid") == '<line x1="0.33" y1="0" x2="2.5" y2="10" class="grid"></line>'


def test_path():
    assert svg.path([(0, 0), (1, 2)], "curve") == '<path d="M0.0 0.0L1.0 2.0" class="curve"></path>'
