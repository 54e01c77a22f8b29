"""The recipe for many machines gives the bits of one run, and does not do its work twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import make_profile_dict

from fastnn.exit_strategy.batch import evaluate_many

parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `exit`")
RECIPE = Path(__file__).resolve().parents[2] / "examples" / "exit_cluster" / "score.py"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a module that workers find as well."""
    monkeypatch.setenv("PYTHONPATH", str(RECIPE.parent))
    monkeypatch.syspath_prepend(str(RECIPE.parent))
    spec = importlib.util.spec_from_file_location("score", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "score", module)
    spec.loader.exec_module(module)
    return module


def source(tmp_path: Path) -> Path:
    import pyarrow

    keep = {"revenue_last_fy", "pretax_income_fy", "net_income_fy", "operating_cash_flow_fy",
            "rd_opex_fy", "opex_fy", "controls.data_security", "controls.explain_fair",
            "controls.ipo_readiness"}  # fmt: skip
    rows = [
        {k: v for k, v in make_profile_dict(name=f"c{n}", cash=(n - 2) * 1e7).items()
         if k not in keep}
        for n in range(11)
    ]  # fmt: skip
    path = tmp_path / "in.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def check(recipe: Any, client: Any, tmp_path: Path) -> None:
    path = source(tmp_path)
    whole = tmp_path / "whole.parquet"
    made = evaluate_many(path, output=whole, draws=200)
    assert made.failed == 2  # cash below zero
    parts = recipe.split(path, tmp_path / "parts", 4)
    assert len(parts) == 3
    outs = recipe.score_all(client, parts, tmp_path / "parts", draws=200)
    place = ["row", "rows"]  # the place in the source, which here is the partition
    got = [row for out in outs for row in parquet.read_table(out).drop_columns(place).to_pylist()]
    assert got == parquet.read_table(whole).drop_columns(place).to_pylist()
    before = [out.stat().st_mtime_ns for out in outs]
    assert recipe.score_all(client, parts, tmp_path / "parts", draws=200) == outs
    assert [out.stat().st_mtime_ns for out in outs] == before
    others = recipe.score_all(client, parts, tmp_path / "parts", draws=300)
    assert not set(others) & set(outs)  # other settings are never answered from old files


class _Here:
    """The part of a client that the recipe uses, in this process."""

    def submit(self, run: Any, *given: Any, **_: Any) -> Any:
        return run(*given)

    def gather(self, jobs: list[Any]) -> list[Any]:
        return jobs


def test_partitions_are_the_bits_of_one_run(recipe: Any, tmp_path: Path) -> None:
    check(recipe, _Here(), tmp_path)


def test_partitions_on_a_local_dask_cluster_are_the_bits_of_one_run(
    recipe: Any, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("dask.distributed", reason="needs the extra `dask`")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
        local_directory=str(tmp_path / "scratch"),
    ) as cluster, distributed.Client(cluster) as client:  # fmt: skip
        check(recipe, client, tmp_path)
