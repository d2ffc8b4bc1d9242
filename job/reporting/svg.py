"""SVG as escaped markup: an element is a function call, and no text can break out of it."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """One element.

    Args:
        tag: its name.
        children: markup as it is, plain text escaped.
        attributes: ``stroke_width`` becomes ``stroke-width`` and ``class_`` becomes ``class``; numbers are cut to two digits.
    """
    written = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for name, value in attributes.items())
    inner = Markup("").join(children)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")  # noqa: S704 - every part of it was escaped above


def drawing(size: tuple[float, float], title: str, description: str, children: Iterable[Markup]) -> Markup:
    """A picture that scales with its place and says in words what it shows.

    Args:
        size: width and height in units of its own; at full size a unit is a CSS pixel.
        title: its name.
        description: what is to be seen, for those who do not see it.
        children: what is in it.
    """
    width, height = size
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=f"{title}. {description}",
        style=f"max-width:{width * 1.25:g}px",
    )


def text(at: tuple[float, float], content: str, class_: str = "tick", anchor: str = "start") -> Markup:
    return element("text", content, x=at[0], y=at[1], class_=class_, text_anchor=anchor)


def line(start: tuple[float, float], end: tuple[float, float], class_: str) -> Markup:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """A line through the points."""
    return element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), class_=class_)


def bar(corner: tuple[float, float], size: tuple[float, float], class_: str, hint: str = "") -> Markup:
    """A rectangle from its upper left corner; ``hint`` shows when one points at it."""
    inner = [element("title", hint)] if hint else []
    return element("rect", *inner, x=corner[0], y=corner[1], width=size[0], height=size[1], class_=class_)


def dot(at: tuple[float, float], radius: float, class_: str, hint: str = "") -> Markup:
    """A disc; ``hint`` shows when one points at it."""
    inner = [element("title", hint)] if hint else []
    return element("circle", *inner, cx=at[0], cy=at[1], r=radius, class_=class_)


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
