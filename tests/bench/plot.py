"""A bar chart as SVG: groups side by side, a bar for each peer."""

from xml.sax.saxutils import escape

from tests.bench.results import CEILING, KERNEL, METRICS, OURS, USER

_COLOURS = {CEILING: "#999999", KERNEL: "#444444", OURS: "#1b7837", USER: "#b35806"}
_PANELS = [("TCP, 1 stream, off (Gbit/s)", "off", "tcp1"),
           ("TCP, 1 stream, gro (Gbit/s)", "gro", "tcp1"),
           ("TCP, 1 stream, default (Gbit/s)", "default", "tcp1"),
           ("TCP, 4 streams, off (Gbit/s)", "off", "tcp4"),
           ("64 B under 1 % loss (kpps)", "off", "pps64"),
           ("RTT p50 (us, less is better)", "off", "rtt_p50"),
           ("CPU (s/Gbit, less is better)", "off", "cpu")]
_WIDTH, _LABEL, _ROW, _HEAD, _COLUMNS = 440, 150, 17, 34, 2


def _text(x, y, words, size=11, anchor="start", weight="normal"):
    return ('<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" font-weight="%s">%s'
            "</text>" % (x, y, size, anchor, weight, escape(words)))


def bars(results, mode, metric):
    """[(name, kind, value)] of the peers that have the figure."""
    found = [(p["name"], p["kind"], results.best(p["name"], mode, metric))
             for p in results.measured()]
    return [b for b in found if b[2] is not None]


def _panel(title, rows, digits, left, top):
    most = max(value for _, _, value in rows)
    room = _WIDTH - _LABEL - 60
    parts = [_text(left + 4, top + 20, title, 13, weight="bold")]
    for i, (name, kind, value) in enumerate(rows):
        y = top + _HEAD + i * _ROW
        width = room * value / most if most > 0 else 0
        parts.append(_text(left + _LABEL - 6, y + 11, name, anchor="end"))
        parts.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (
            left + _LABEL, y, width, _ROW - 4, _COLOURS[kind]))
        parts.append(_text(left + _LABEL + width + 4, y + 11, "%.*f" % (digits, value)))
    return parts


def svg(results):
    """The chart, or None when there is nothing to show."""
    panels = [(title, bars(results, mode, metric), METRICS[metric][2])
              for title, mode, metric in _PANELS]
    panels = [p for p in panels if p[1]]
    if not panels:
        return None
    height = _HEAD + 14 + _ROW * max(len(p[1]) for p in panels)
    parts = []
    for number, (title, rows, digits) in enumerate(panels):
        parts += _panel(title, rows, digits, number % _COLUMNS * _WIDTH,
                        number // _COLUMNS * height)
    total = height * ((len(panels) + _COLUMNS - 1) // _COLUMNS)
    width = _WIDTH * min(_COLUMNS, len(panels))
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d '
            '%d" font-family="sans-serif">\n<rect width="100%%" height="100%%" fill="white"/>'
            "\n%s\n</svg>\n" % (width, total, width, total, "\n".join(parts)))
