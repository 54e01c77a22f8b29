"""Plots take and return Axes; graphs of models are text that stands alone."""

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import fastnn
from fastnn import layers, plot


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra [plot]")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot.subplots()[1]
    pyplot.close("all")


@pytest.fixture
def branched():
    given = fastnn.Input((4,), name="given")
    shared = layers.Dense(4, name="shared")
    first = shared(given)
    second = shared(first)
    joined = layers.Add(name="joined")([first, second, given])
    return fastnn.Model(given, layers.Dense(2, activation="softmax", name='a<"b">')(joined))


def fitted():
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.arange(8.0)[:, None] / 8
    return model.fit(x, 2 * x, epochs=4, validation_data=(x, x), verbose=0)


def test_history_draws_each_curve_and_pairs_validation_by_colour(axes):
    history = fitted()
    assert plot.history(history, axes) is axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert sorted(lines) == ["loss", "val_loss"]
    assert list(lines["loss"].get_xdata()) == [1, 2, 3, 4]
    assert list(lines["loss"].get_ydata()) == history.history["loss"]
    assert lines["loss"].get_color() == lines["val_loss"].get_color()
    assert lines["val_loss"].get_linestyle() == "--"


def test_history_takes_the_dict_and_makes_axes(axes):
    drawn = plot.history({"loss": [3.0, 2.0]})
    assert drawn is not axes
    assert drawn.get_xlabel() == "epoch"


def test_history_refuses_what_it_cannot_draw():
    with pytest.raises(TypeError, match=r"history is list.*\n  hint: plot.history"):
        plot.history([1, 2])
    with pytest.raises(fastnn.DataError, match="history holds no epochs"):
        plot.history({})


def test_confusion_matrix_counts_classes_probabilities_and_scores(axes):
    pytest.importorskip("sklearn", reason="needs the extra [plot]")
    assert plot.confusion_matrix([0, 1, 1, 1], [[0.2], [0.9], [0.4], [0.8]], axes) is axes
    assert [t.get_text() for t in axes.texts] == ["1", "0", "1", "2"]
    scores = np.eye(3)[[0, 2, 2]]
    drawn = plot.confusion_matrix(np.array([0, 1, 2]), scores)
    assert [t.get_text() for t in drawn.texts] == list("100001001")


def test_confusion_matrix_refuses_unlike_lengths_and_raw_scores():
    with pytest.raises(fastnn.DataError, match="y_true has 2 samples, y_pred has 3 samples"):
        plot.confusion_matrix([0, 1], [0, 1, 1])
    with pytest.raises(fastnn.DataError, match=r"y_pred holds values from -3 to 2.5"):
        plot.confusion_matrix([0, 1], [-3.0, 2.5])


def test_roc_draws_the_curve_of_scikit_learn(axes):
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra [plot]")
    y, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert plot.roc(y, scores[:, None], axes) is axes
    x_line, y_line, _ = metrics.roc_curve(y, scores)
    line = axes.get_lines()[0]
    assert np.array_equal(line.get_xdata(), x_line)
    assert np.array_equal(line.get_ydata(), y_line)
    assert "AUC = 0.75" in line.get_label()


def test_roc_of_several_classes_has_a_curve_each(axes):
    pytest.importorskip("sklearn", reason="needs the extra [plot]")
    y = np.array([0, 1, 2, 0, 1, 2])
    plot.roc(y, np.eye(3)[y], axes)
    assert [re.sub(r" \(.*", "", x.get_label()) for x in axes.get_lines()] == [
        "class 0", "class 1", "class 2",
    ]  # fmt: skip
    with pytest.raises(fastnn.DataError, match="y_true holds only class 1"):
        plot.roc([1, 1], [0.2, 0.3])


def test_regression_draws_points_and_a_line_over_sorted_x(axes):
    x = np.array([[3.0], [1.0], [2.0]])
    assert plot.regression(x, [6, 2, 4], 2 * x, axes) is axes
    (points,) = axes.collections
    assert points.get_offsets().tolist() == [[3, 6], [1, 2], [2, 4]]
    (line,) = axes.get_lines()
    assert line.get_xydata().tolist() == [[1, 2], [2, 4], [3, 6]]
    with pytest.raises(fastnn.DataError, match=r"x has shape \(3, 2\), wanted one value per"):
        plot.regression(np.ones((3, 2)), [1, 2, 3], [1, 2, 3])


@pytest.mark.parametrize("missing", ["matplotlib.pyplot", "sklearn.metrics"])
def test_a_missing_extra_is_named(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'hint: pip install "fastnn-rs\[plot\]"'):
        plot.confusion_matrix([0, 1], [0, 1])


def test_mermaid_names_layers_shapes_parameters_and_edges(branched):
    lines = plot.model(branched).splitlines()
    assert lines == [
        "flowchart TD",
        '    n0["given (InputLayer)<br/>(None, 4)"]',
        '    n1["shared (Dense)<br/>(None, 4)<br/>20 parameters"]',
        '    n2["shared (Dense, call 2)<br/>(None, 4)<br/>same parameters"]',
        '    n3["joined (Add)<br/>(None, 4)"]',
        '    n4["a#lt;#quot;b#quot;#gt; (Dense)<br/>(None, 2)<br/>10 parameters"]',
        "    n0 --> n1",
        "    n1 --> n2",
        "    n1 --> n3",
        "    n2 --> n3",
        "    n0 --> n3",
        "    n3 --> n4",
    ]


def test_svg_is_well_formed_stands_alone_and_no_boxes_overlap(branched):
    text = plot.model(branched, format="svg")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    shown = [t.text for t in root.iter(f"{space}text")]
    assert 'a<"b"> (Dense)' in shown
    assert "20 parameters" in shown
    assert not re.search(r"href|url\(|<script|<image", text)
    boxes = [tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
             for r in root.iter(f"{space}rect")]  # fmt: skip
    assert len(boxes) == 5
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= float(root.get("width"))
        assert y + h <= float(root.get("height"))
        for x2, y2, w2, h2 in boxes[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_models_without_a_graph_list_their_layers():
    class Own(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(2, name="p"), layers.Dense(1, name="q")

    assert plot.model(Own()).splitlines()[1:] == [
        '    n0["p (Dense)<br/>not built"]',
        '    n1["q (Dense)<br/>not built"]',
    ]
    stack = fastnn.Sequential([layers.Dense(2, name="p"), layers.Dense(1, name="q")])
    assert plot.model(stack).splitlines()[-1] == "    n0 --> n1"
    assert ElementTree.fromstring(plot.model(fastnn.Sequential(), "svg")).get("width") == "0"


def test_plot_model_writes_by_ending(branched, tmp_path):
    for name, form in (("net.svg", "svg"), ("net.MMD", "mermaid")):
        text = fastnn.utils.plot_model(branched, to_file=tmp_path / name, show_shapes=True)
        assert (tmp_path / name).read_text("utf-8") == text == plot.model(branched, form)
        assert ElementTree.fromstring(text._repr_svg_()).tag.endswith("svg")
    assert fastnn.utils.plot_model(branched, None) == plot.model(branched, "svg")
    with pytest.raises(ValueError, match=r"net.gif', wanted a name ending in .svg, .mmd, .png"):
        fastnn.utils.plot_model(branched, "net.gif")
    with pytest.raises(TypeError, match=r"plot_model\(\) got an unexpected .* 'tofile'"):
        fastnn.utils.plot_model(branched, tofile="a.svg")
    with pytest.raises(ValueError, match=r"format is 'dot'\n  hint: 'mermaid' or 'svg'"):
        plot.model(branched, format="dot")


def test_plot_model_writes_pictures(branched, tmp_path):
    from matplotlib import image

    sizes = []
    for dpi in (96, 192):
        text = fastnn.utils.plot_model(branched, tmp_path / "net.png", dpi=dpi)
        pixels = image.imread(tmp_path / "net.png")
        assert pixels[..., :3].min() < 0.2 < 0.9 < pixels[..., :3].mean()
        sizes.append(pixels.shape[1])
    root = ElementTree.fromstring(text.svg)
    assert sizes[0] == pytest.approx(float(root.get("width")), abs=1)
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=2)
    fastnn.utils.plot_model(branched, tmp_path / "net.pdf")
    assert (tmp_path / "net.pdf").read_bytes().startswith(b"%PDF")


def test_models_show_table_and_graph_in_notebooks(branched):
    html = branched._repr_html_()
    assert html.startswith("<pre>Model: ")
    assert "Total params" in html
    assert ElementTree.fromstring(f"<div>{html}</div>") is not None
    assert "<svg" in html
    assert "not built yet" in fastnn.Sequential(name="empty")._repr_html_()
