"""What plans of memory look like beside measurements: a table and two figures."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from loralab.memory.measurement import Size, size_name
from loralab.memory.planning import Plan
from loralab.memory.tracing import PART_NAMES, PARTS
from loralab.messages import message, number, percent
from loralab.show.plotting import BELOW, BLUE, GREEN, GREY, MARKED, Picture, new_axes, panels, styled

MIB = 2**20
# Light and dark in turns, and hatched, so that the parts differ in grey too.
LOOKS = (("black", ""), (GREEN, "//"), (BLUE, ""), (GREY, ""), ("white", ".."))


def size_table(sizes: Sequence[Size]) -> pd.DataFrame:
    """A row a step: static part and peak (MiB) and seconds, as planned and as measured, and how far the plan is off."""
    return pd.DataFrame(
        {
            message("step"): size_name(size),
            message("static_planned"): number(sum(size.plan.static.values()) / MIB, 1),
            message("static_measured"): number(size.static / MIB, 1),
            message("peak_planned"): number(size.plan.peak / MIB, 1),
            message("peak_measured"): number(size.peak / MIB, 1),
            message("plan_off"): percent(size.ratio - 1, 2),
            message("step_seconds"): number(size.seconds, 2),
        }
        for size in sizes
    )


@styled
def memory_bars(plans: Mapping[str, Plan], measured: Mapping[str, int]) -> Picture:
    """Where each plan's peak goes (MiB), stacked, with its measured peak (bytes) as a line across."""
    sizes = {name: {part: planned.parts[part] / MIB for part in PARTS} for name, planned in plans.items()}
    totals = {name: sum(parts.values()) for name, parts in sizes.items()}
    most, least = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
    values = {"most": most, "least": least, "high": number(totals[most], 0), "low": number(totals[least], 0)}
    title = message("memory_bars_title", **values)
    figure, axes = new_axes(title, message("peak_memory"), height=1.9 + 0.6 * len(plans))
    left = np.zeros(len(plans))
    for part, name, (colour, hatch) in zip(PARTS, PART_NAMES, LOOKS, strict=True):
        widths = np.array([parts[part] for parts in sizes.values()])
        if widths.any():
            axes.barh(
                range(len(plans)), widths, left=left, color=colour, hatch=hatch, edgecolor="black", linewidth=0.6,
                height=0.6, label=message(name),
            )  # fmt: skip
        left += widths
    places = np.arange(len(plans))
    peaks = [measured[name] / MIB for name in plans]
    axes.vlines(peaks, places - 0.42, places + 0.42, **MARKED, label=message("measured_peak"))
    axes.set_yticks(range(len(plans)), list(plans))
    axes.invert_yaxis()
    figure.legend(**BELOW)
    texts = []
    for name, parts in sizes.items():
        each = zip(map(message, PART_NAMES), parts.values(), strict=True)
        listed = ", ".join(f"{part} {number(size, 0)}" for part, size in each)
        texts.append(f"{name}: {listed}; {message('measured_peak')} {number(measured[name] / MIB, 0)}")
    return Picture(figure, f"{title}. {'. '.join(texts)}. (MiB)")


@styled
def crossover(
    full: np.ndarray, others: Mapping[str, np.ndarray], rows: Sequence[int], lengths: Sequence[int]
) -> Picture:
    """The share of full fine-tuning's peak that others save, over batch (down) and length (across); below 0: they cost.

    `full` and each of the others are peaks (bytes), rows × lengths.
    """
    saved = {name: 1 - peaks / full for name, peaks in others.items()}
    every = np.stack(list(saved.values()))
    title = message("crossover_title", low=percent(float(every.min()), 0), high=percent(float(every.max()), 0))
    (figure, grid), texts = panels(title, 1.6 + 2.5 * len(others), len(others)), []
    for axes, (name, share) in zip(grid, saved.items(), strict=True):
        axes.imshow(share, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
        cells = []
        for (row, column), value in np.ndenumerate(share):
            text, on_dark = percent(float(value), 0), abs(value) > 0.6
            axes.text(column, row, text, ha="center", va="center", color="white" if on_dark else "black")
            cells.append(f"{rows[row]} × {lengths[column]}: {text}")
        texts.append(f"{name}: {', '.join(cells)}")
        axes.set_xticks(range(len(lengths)), map(str, lengths))
        axes.set_yticks(range(len(rows)), map(str, rows))
        axes.set(xlabel=message("length_axis"), ylabel=message("rows_axis"))
        axes.set_title(name, fontsize=12)
        axes.spines[:].set_visible(False)
    return Picture(figure, f"{title}. {'. '.join(texts)}.")
