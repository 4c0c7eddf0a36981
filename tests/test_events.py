"""`Interactions`: frames of events as matrices with names, against a loop over events."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh import LSHRecommender
from sklsh.datasets import Interactions, split_by_time


def by_loop(log, half_life=None, now=None, duplicates="sum", items=None, new_items="add"):
    """Entries by name, and the names of the columns; the naive twin."""
    known = list(items or [])
    new = sorted({item for _, item, _, _ in log} - set(known)) if new_items == "add" else []
    now = max(time for *_, time in log) if now is None else now
    found, last = defaultdict(float), {}
    for user, item, weight, time in log:
        if item not in known + new:
            continue
        value = weight * 2.0 ** (-(now - time) / half_life) if half_life else weight
        if duplicates == "sum":
            found[user, item] += value
        elif duplicates == "max":
            found[user, item] = max(found[user, item], value)
        elif time >= last.get((user, item), -np.inf):
            found[user, item], last[user, item] = value, time
    return found, known + new


def entries(found):
    matrix = found.matrix.tocoo()
    rows, columns = found.user_ids[matrix.row], found.item_ids[matrix.col]
    return dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), matrix.data, strict=True))


def random_log(seed, n_events=60):
    rng = np.random.default_rng(seed)
    users = np.array(["zoë", "ann", "bob", "c" * 20])[rng.integers(0, 4, n_events)]
    items = rng.integers(-3, 5, n_events)
    return list(
        zip(users.tolist(), items.tolist(), rng.integers(1, 9, n_events).tolist(),
            rng.integers(0, 30, n_events).tolist(), strict=True)
    )  # fmt: skip


COLUMNS = ("user", "item", "weight", "time")
NAMED = {"user": "user", "item": "item", "weight": "weight", "time": "time"}


def mapping(log):
    return dict(zip(COLUMNS, map(list, zip(*log, strict=True)), strict=True))


@given(
    st.integers(0, 10**6),
    st.sampled_from([None, 3.0]),
    st.sampled_from(["sum", "last", "max"]),
    st.sampled_from([None, [2, -1, 77]]),
    st.sampled_from(["add", "drop"]),
)
def test_as_a_loop_over_events_has_it(seed, half_life, duplicates, items, new_items):
    if items is None:
        new_items = "add"
    log = random_log(seed)
    options = {"half_life": half_life, "duplicates": duplicates}
    expected, names = by_loop(log, items=items, new_items=new_items, **options)
    found = Interactions.from_events(
        mapping(log), **NAMED, **options, items=items, new_items=new_items
    )
    assert found.item_ids.tolist() == names
    assert found.matrix.dtype == np.float32 and found.matrix.has_canonical_format
    ours = entries(found)
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        assert ours[key] == pytest.approx(value, rel=1e-6)
    assert found.latest == max(time for *_, time in log)
    assert sorted({user for user, *_ in log}) == found.user_ids.tolist() or new_items == "drop"


def frames():
    log = mapping(random_log(0))
    dates = [dt.datetime(2026, 1, 1) + dt.timedelta(days=day) for day in log["time"]]
    log["date"] = dates
    pandas = pd.DataFrame(log)
    yield "mapping of arrays", {name: np.array(values) for name, values in log.items()}
    yield "mapping of lists", log
    yield "pandas", pandas
    yield "pandas, categories", pandas.astype({"user": "category", "item": "category"})
    yield "pandas, nullable", pandas.astype({"item": "Int64", "weight": "Float64"})
    zoned = pandas.assign(date=pandas["date"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    yield "pandas, zones", zoned


def check_frame(frame):
    log = random_log(0)
    for half_life, time in ((5, "time"), (dt.timedelta(days=5), "date")):
        expected, _ = by_loop(log, half_life=5)
        found = Interactions.from_events(frame, **NAMED | {"time": time}, half_life=half_life)
        assert found.user_ids.dtype.kind == "U" and found.item_ids.dtype == np.int64
        ours = entries(found)
        assert ours.keys() == expected.keys()
        for key, value in expected.items():
            assert ours[key] == pytest.approx(value, rel=1e-6)
    later = Interactions.from_events(
        frame, user="user", item="item", weight="weight", time="date",
        half_life=np.timedelta64(10, "D"), now=found.latest + np.timedelta64(10, "D"),
    )  # fmt: skip
    now = max(time for *_, time in log) + 10
    for key, value in by_loop(log, half_life=10, now=now)[0].items():
        assert entries(later)[key] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("kind", [name for name, _ in frames()])
def test_frames(kind):
    check_frame(dict(frames())[kind])


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(dict(frames())["mapping of lists"])
    check_frame(frame)
    check_frame(frame.with_columns(polars.col("user").cast(polars.Categorical)))
    with pytest.raises(ValueError, match="user must have no missing values, got 1"):
        Interactions.from_events(polars.DataFrame({"user": ["a", None], "item": [1, 2]}))


def test_pyarrow_and_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table(dict(frames())["mapping of lists"])
    check_frame(table)
    check_frame(pyarrow.concat_tables([table.slice(0, 20), table.slice(20)]))
    parquet.write_table(table, tmp_path / "log.parquet")
    check_frame(tmp_path / "log.parquet")
    check_frame(str(tmp_path / "log.parquet"))
    with pytest.raises(ValueError, match="has no column 'usr'"):
        Interactions.from_events(tmp_path / "log.parquet", user="usr")
    (tmp_path / "text.parquet").write_text("user,item\n")
    with pytest.raises(ValueError, match="cannot be read as parquet"):
        Interactions.from_events(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="item must have no missing values, got 1"):
        Interactions.from_events(pyarrow.table({"user": ["a", "b"], "item": [1, None]}))


class TestStreams:
    def test_parts_follow_time_and_keep_repeated_purchases(self):
        log = mapping(random_log(1, 200))
        parts = Interactions.stream(log, 4, time="time", weight="weight")
        whole = Interactions.from_events(log, time="time", weight="weight")
        assert sum(part.matrix.sum() for part in parts) == pytest.approx(whole.matrix.sum())
        for before, after in pairwise(parts):
            assert after.item_ids[: before.item_ids.size].tolist() == before.item_ids.tolist()
            assert after.matrix.shape == (after.user_ids.size, after.item_ids.size)
        # Every event is in the part of its own time.
        users, items, weights, times = (np.array(log[name]) for name in COLUMNS)
        ends = [part.latest for part in parts]
        assert ends == sorted(ends) and ends[-1] == times.max()
        for low, part in zip([-1, *ends], parts, strict=False):
            mine = (times > low) & (times <= part.latest)
            own, _ = by_loop(
                list(zip(users[mine].tolist(), items[mine].tolist(), weights[mine].tolist(),
                         times[mine].tolist(), strict=True))
            )  # fmt: skip
            assert entries(part) == pytest.approx(dict(own))

    def test_a_recommender_learns_from_them_by_name(self):
        rng = np.random.default_rng(0)
        taste = rng.integers(0, 2, 400)
        users = np.array([f"user {i}" for i in range(400)])
        owner = np.repeat(np.arange(400), 6)
        thing = rng.integers(0, 8, owner.size) + 8 * taste[owner]
        when = owner + rng.random(owner.size)
        thing[when < 200] %= 12  # four things come late
        names = np.array([f"thing {chr(ord('p') - i)}" for i in range(16)])
        log = pd.DataFrame({"who": users[owner], "what": names[thing], "at": when})
        parts = Interactions.stream(log, 8, user="who", item="what", time="at")
        model = LSHRecommender((16,), random_state=0)
        for part in parts:
            model.partial_fit(part.matrix, item_ids=part.item_ids)
        assert sorted(model.item_ids_.tolist()) == sorted(names.tolist())
        asked = log[log["who"].isin(["user 390", "user 391"])]
        asked = pd.concat([asked, pd.DataFrame({"who": ["user 390"], "what": ["new"], "at": [0]})])
        rows = Interactions.from_events(
            asked, user="who", item="what", items=model.item_ids_, new_items="drop"
        )
        ids, _ = model.recommend([0, 1], rows.rows(["user 391", "user 390"]), N=2)
        for user, found in zip((391, 390), ids, strict=True):
            own = set(log.loc[log["who"] == f"user {user}", "what"])
            likely = set(names[8 * taste[user] : 8 * taste[user] + 8]) - own
            assert len(likely & set(found.tolist())) >= 1
            assert not own & set(found.tolist())


@pytest.mark.parametrize(
    ("times", "half_life"),
    [
        (np.array([-128, 127, 0], np.int8), 100),
        (np.array([-(2**63), 2**63 - 1, 0]), 2.0**62),
        (np.array([2**63, 2**63 + 5, 2**63 + 1], np.uint64), 3),
        (np.array([1, 2, 3]).astype("M8[10us]"), np.timedelta64(10, "us")),
        (np.array([1, 2, 3]).astype("M8[25s]"), dt.timedelta(seconds=50)),
    ],
    ids=["int8", "int64", "uint64", "tens of microseconds", "25 seconds"],
)
def test_ages_in_any_type_of_times(times, half_life):
    found = Interactions.from_events(
        {"user": [0, 1, 2], "item": [0, 0, 0], "time": times}, time="time", half_life=half_life
    )
    if times.dtype.kind == "M":
        step = np.timedelta64(*np.datetime_data(times.dtype)[::-1])
        ages = [float(i * step / np.timedelta64(half_life)) for i in (2, 1, 0)]
    else:
        ages = [(max(times.tolist()) - time) / half_life for time in times.tolist()]
    np.testing.assert_allclose(found.matrix.toarray()[:, 0], np.exp2(-np.array(ages)), rtol=1e-6)


def test_ages_at_another_moment():
    """Before the events, too: these count more than they did."""
    log = {"user": [0, 1], "item": [0, 0], "time": [4, 6]}
    for now, expected in ((8, [0.25, 0.5]), (4.0, [1, 2]), (np.int8(2), [2, 4])):
        found = Interactions.from_events(log, time="time", half_life=2, now=now)
        assert found.matrix.toarray()[:, 0].tolist() == expected


def test_what_is_very_old_is_little_and_not_nothing():
    """Float32 ends after 149 half-lives: who has not come since must not be told what they had."""
    log = {"user": [0, 0, 1, 2], "item": [5, 6, 5, 7], "time": [0.0, 1e5, 0.0, 1e5]}
    found = Interactions.from_events(log, time="time", half_life=10)
    assert (found.matrix.toarray() > 0).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert found.matrix[0, 0] < 1e-30 and found.matrix[2, 2] == 1
    model = LSHRecommender((4,), max_iter=1, random_state=0)
    model.fit(found.matrix, item_ids=found.item_ids)
    assert 5 not in model.recommend(1, found.rows([1]), N=3)[0]


class TestRefused:
    LOG = {"user": ["a", "b"], "item": [1, 2], "time": [1.0, 2.0], "weight": [1, 2]}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"user": "usr"}, "no column 'usr', but 'user', 'item'.*did you mean 'user'"),
            ({"half_life": 3}, "time must name a column where there is half_life"),
            ({"duplicates": "last"}, "time must name a column where there is duplicates"),
            ({"now": 3, "time": "time"}, "half_life must be given where there is now"),
            ({"half_life": 0, "time": "time"}, "half_life must be above 0, got 0"),
            ({"half_life": float("nan"), "time": "time"}, "half_life must be above 0"),
            ({"half_life": 1, "time": "time", "now": np.nan}, "now must be in .* got nan"),
            ({"half_life": 1, "time": "time", "now": "2026"}, "now must be a number, got '2026'"),
            (
                {"duplicates": "first"},
                r"duplicates must be one of \['last', 'max', 'sum'\]",
            ),
            ({"new_items": "drop"}, 'items must be given where new_items="drop"'),
            ({"new_items": "drop", "items": [5]}, "at least one of the items, got none"),
            ({"items": [5, 5]}, "items must differ"),
        ],
    )
    def test_options(self, options, said):
        with pytest.raises((ValueError, TypeError), match=said):
            Interactions.from_events(self.LOG, **options)

    @pytest.mark.parametrize(
        ("columns", "said"),
        [
            ({"user": ["a", None]}, "user must have no missing values, got 1"),
            ({"item": [1.0, np.nan]}, "item must have no missing values, got 1"),
            ({"item": [1.5, 2.5]}, "item must be integers or text, got dtype float64"),
            ({"time": [1.0, np.inf]}, "time must be finite"),
            ({"time": ["2026-01-01", "2026-01-02"]}, "pandas.to_datetime"),
            ({"time": [pd.Timestamp(0), pd.NaT]}, "time must have no missing values, got 1"),
            ({"weight": [1, -2]}, "weight must be at least 0, got -2.0; a dislike"),
            ({"weight": [1, np.nan]}, "weight must have no missing values"),
            ({"weight": ["1", "2"]}, "weight must be numbers"),
            ({"user": ["a", ""]}, "user must have no missing values, got 1"),
            ({"item": np.array(["", "b"])}, "item must have no missing values, got 1"),
            ({"weight": [1, 1e39]}, "weight, with its age, must .* within float32, .* got 1e.39"),
            ({"weight": [0, 1e-300]}, "weight, with its age, must .* got 1e-300; take another"),
        ],
    )
    def test_columns(self, columns, said):
        with pytest.raises((ValueError, TypeError), match=said):
            Interactions.from_events(pd.DataFrame(self.LOG | columns), time="time", weight="weight")

    def test_a_column_that_is_there_twice(self):
        frame = pd.DataFrame([["a", 1, "b"]], columns=["user", "item", "user"])
        with pytest.raises(ValueError, match="events has 2 columns 'user'"):
            Interactions.from_events(frame)

    def test_a_moment_of_another_kind(self):
        log = self.LOG | {"time": np.array(["2026-01-01", "2026-01-02"], "M8[D]")}
        with pytest.raises(TypeError, match=r"now must be a datetime, as times are, got 3\.5"):
            Interactions.from_events(log, time="time", half_life=dt.timedelta(1), now=3.5)

    def test_ids_of_several_columns(self):
        with pytest.raises(ValueError, match=r"user must be a column of ids, got shape \(2, 2\)"):
            Interactions.from_events(self.LOG | {"user": [("a", "b"), ("c", "d")]})

    def test_others(self):
        with pytest.raises(TypeError, match="events must be a frame, a mapping"):
            Interactions.from_events([("a", 1)])
        with pytest.raises(ValueError, match=r"must be a \.parquet file"):
            Interactions.from_events("log.csv")
        with pytest.raises(FileNotFoundError):
            Interactions.from_events("nowhere.parquet")
        with pytest.raises(ValueError, match="at least one row"):
            Interactions.from_events(pd.DataFrame(self.LOG)[:0])
        with pytest.raises(ValueError, match="of one length, got"):
            Interactions.from_events(self.LOG | {"item": [1]})
        with pytest.raises(TypeError, match="item must be text, as before, got integers"):
            Interactions.from_events(self.LOG, items=["a"])
        dated = self.LOG | {"time": pd.to_datetime(["2026-01-01", "2026-01-02"])}
        with pytest.raises(TypeError, match="half_life must be a datetime"):
            Interactions.from_events(dated, time="time", half_life=3)
        with pytest.raises(TypeError, match="half_life must be a number, as times are"):
            Interactions.from_events(self.LOG, time="time", half_life=dt.timedelta(3))
        for wrong, said in (
            (["a", None], "no missing values, got 1"),
            ([b"a", 1], "several kinds"),
        ):
            with pytest.raises((ValueError, TypeError), match=said):
                Interactions.from_events(self.LOG | {"user": np.array(wrong, dtype=object)})
        with pytest.raises(ValueError, match="item must have no missing values, got 1"):
            Interactions.from_events(self.LOG | {"item": np.array([1, np.nan])})
        found = Interactions.from_events(self.LOG)
        with pytest.raises(ValueError, match="users must be ids of users, got 'c'"):
            found.rows(["a", "c"])
        with pytest.raises(TypeError, match="users must be text"):
            found.rows(1)


@given(st.integers(0, 10**6), st.integers(1, 5), st.booleans())
def test_split_by_time_of_columns_dates_every_purchase(seed, n_parts, weighted):
    rng = np.random.default_rng(seed)
    n_events = int(rng.integers(0, 40))
    users, items = rng.integers(0, 4, n_events), rng.integers(0, 3, n_events)
    weights, times = rng.integers(1, 5, n_events), rng.permutation(n_events)
    columns = (users, items, weights) if weighted else (users, items)
    parts = split_by_time(columns, times, n_parts, shape=(4, 3))
    for number, part in enumerate(parts):
        expected = np.zeros((4, 3))
        for u, i, w, t in zip(users, items, weights, times, strict=True):
            # Times that differ fall into parts of equal numbers of events.
            if int(n_parts * (t + 0.5) / n_events) == number:
                expected[u, i] += w if weighted else 1
        np.testing.assert_array_equal(part.toarray(), expected)


def test_split_by_time_of_columns_refuses():
    with pytest.raises(ValueError, match=r"\(users, items\) or \(users, items, weights\)"):
        split_by_time(([1],), [1], 2)
    with pytest.raises(ValueError, match="of one length, got shapes"):
        split_by_time(([1, 2], [1]), [1, 2], 2)
    with pytest.raises(TypeError, match="items must be integers"):
        split_by_time(([1], ["a"]), [1], 2)
    with pytest.raises(ValueError, match=r"users must be in \[0, 2\), got 3 to 3"):
        split_by_time(([3], [0]), [1], 2, shape=(2, 2))
    with pytest.raises(ValueError, match="shape must be None where user_items is a matrix"):
        split_by_time(np.ones((2, 2)), np.ones((2, 2)), 2, shape=(2, 2))
    with pytest.raises(ValueError, match="times must be finite"):
        split_by_time(([1], [0]), [np.nan], 2)


class TestKindsOfColumns:
    LOG = {"user": ["a", "b", "a"], "item": ["x", "y", "y"]}  # noqa: RUF012
    DAYS = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "M8[D]")

    def aged(self, times, **options):
        log = self.LOG | {"time": times}
        return Interactions.from_events(log, time="time", **options).matrix.toarray().tolist()

    def test_numbers_that_are_objects(self):
        for kind in (Decimal, Fraction):
            log = self.LOG | {"weight": [*map(kind, (1, 2, 3))], "time": [*map(kind, range(3))]}
            found = Interactions.from_events(log, weight="weight", time="time", half_life=1)
            assert found.matrix.toarray().tolist() == [[0.25, 3], [0, 1]]

    def test_half_a_day_counts_where_times_are_days(self):
        noon = np.datetime64("2026-01-03T12:00")
        fine = self.aged(self.DAYS.astype("M8[s]"), half_life=dt.timedelta(hours=12), now=noon)
        assert self.aged(self.DAYS, half_life=dt.timedelta(hours=12), now=noon) == fine
        assert fine[0] == [2**-5, 0.5]

    @pytest.mark.filterwarnings("error")
    def test_zones(self):
        zoned = dt.timezone(dt.timedelta(hours=2))
        now = dt.datetime(2026, 1, 4, 2, tzinfo=zoned)
        expected = self.aged(self.DAYS, half_life=dt.timedelta(1), now=np.datetime64("2026-01-04"))
        local = pd.to_datetime(self.DAYS).tz_localize("UTC").tz_convert(zoned)
        for times in (local, pd.Series(local), list(local), [t.to_pydatetime() for t in local]):
            for moment in (now, pd.Timestamp(now), "2026-01-04T02:00+02:00"):
                assert self.aged(times, half_life=dt.timedelta(1), now=moment) == expected

    def test_years_and_months_are_as_long_as_they_are(self):
        for unit, first, days in (("Y", "2024", [366, 365]), ("M", "2026-01", [31, 28])):
            times = np.datetime64(first, unit) + np.arange(3)
            found = self.aged(times, half_life=np.timedelta64(1, "D") * 365)
            assert found[0][0] == pytest.approx(2 ** (-sum(days) / 365))

    def test_a_moment_of_many_digits(self):
        times = np.array([1, 2, 3], np.uint64) + np.uint64(2**63)
        assert self.aged(times, half_life=1, now=2**63 + 4)[0] == [0.125, 0.5]

    @pytest.mark.parametrize(
        ("log", "options", "said"),
        [
            ({}, {"user": "item"}, "user and item must name two columns, got 'item' and 'item'"),
            ({}, {"user": None}, "user and item must name two columns, got None"),
            ({}, {"items": {"x", "y"}}, "items must be in the order of the columns, got a set"),
            ({"user": [], "item": []}, {}, "events must have at least one row, got none"),
            ({"user": [1, "a", 2]}, {}, "user must be integers or text"),
        ],
    )
    def test_refused(self, log, options, said):
        with pytest.raises((ValueError, TypeError), match=said):
            Interactions.from_events(self.LOG | log, **options)

    @pytest.mark.parametrize("now", [5, np.datetime64("NaT"), pd.NaT, "x"])
    def test_no_moment(self, now):
        with pytest.raises(TypeError, match="now must be a datetime, as times are"):
            self.aged(self.DAYS, half_life=dt.timedelta(1), now=now)

    def test_a_duration_of_no_unit(self):
        with pytest.raises(TypeError, match=r"half_life must be a datetime\.timedelta"):
            self.aged(self.DAYS, half_life=np.timedelta64(1))

    def test_rows_have_an_order(self):
        found = Interactions.from_events(self.LOG)
        with pytest.raises(TypeError, match="users must be in the order of the rows, got a set"):
            found.rows({"a"})
        with pytest.raises(ValueError, match=r"scalar or 1-d, got shape \(1, 2\)"):
            found.rows([["a", "b"]])

    def test_names_are_of_this_machines_byte_order(self):
        log = {"user": np.array([1, 2], ">i8"), "item": np.array([3, 4], ">i4")}
        found = Interactions.from_events(log)
        assert found.user_ids.dtype == np.int64 and found.item_ids.dtype == np.int32
