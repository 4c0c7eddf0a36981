"""FederatedLSHClassifier as a user and as scikit-learn meet it."""

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from tests.federated.problems import N_FEATURES, N_LABELS, Tampering, federation


@parametrize_with_checks([FederatedLSHClassifier(n_rounds=4)])  # 20 take three times as long
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:1200], y[:1200], X[1200:], y[1200:]


@pytest.fixture(scope="module")
def wide():
    """A multilabel set with more labels than a dense head is used for."""
    X, Y = make_extreme_classification(
        n_samples=1500, n_features=300, n_labels=1200, random_state=0
    )
    return X, Y, split_devices(Y, 4, random_state=0)


def same_model(a, b):
    for ours, theirs in zip(a.network_.parameters(), b.network_.parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_four_devices_learn_what_one_machine_learns(digits):
    X, y, X_test, y_test = digits
    # One seed, or other rows held out, is worth a point.
    central = np.mean([
        SparseLSHMLPClassifier(n_neighbors=0, random_state=seed).fit(X, y).score(X_test, y_test)
        for seed in range(3)
    ])  # fmt: skip
    model = FederatedLSHClassifier(random_state=0).fit(X, y, groups=np.arange(1200) % 4)
    assert model.score(X_test, y_test) > central - 0.03
    assert model.ledger_.by("device").keys() == {0, 1, 2, 3}


def test_labels_may_be_text_and_devices_too(digits):
    X, y, X_test, _ = digits
    names = np.array([f"digit {i}" for i in range(10)])
    groups = np.array(["b", "a", "c"])[np.arange(1200) % 3]
    text = FederatedLSHClassifier(n_rounds=3, random_state=0).fit(X, names[y], groups=groups)
    numbers = FederatedLSHClassifier(n_rounds=3, random_state=0).fit(X, y, groups=groups)
    np.testing.assert_array_equal(text.predict(X_test), names[numbers.predict(X_test)])
    assert text.device_ids_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("sampler", ["lsh", "random", "uniform", "labels", "all"])
def test_backend_and_n_jobs_change_nothing(wide, sampler):
    X, Y, groups = wide
    estimator = SparseLSHMLPClassifier((16,), sampler=sampler, n_active=50)
    model = FederatedLSHClassifier(estimator, n_rounds=2, random_state=3)
    one = clone(model).set_params(n_jobs=1).fit(X, Y, groups=groups)
    two = clone(model).set_params(n_jobs=2).fit(X, Y, groups=groups)
    same_model(one, two)
    assert one.ledger_ == two.ledger_
    if sampler == "lsh":
        with parallel_config(backend="loky", n_jobs=2):
            same_model(one, clone(model).fit(X, Y, groups=groups))


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, lambda Y: Y.toarray()])
def test_answers_come_in_the_container_of_y(wide, container):
    X, Y, groups = wide
    given = container(Y)
    model = FederatedLSHClassifier(SparseLSHMLPClassifier((16,)), n_rounds=2, random_state=0).fit(
        X, given, groups=groups
    )
    answer = model.predict(X[:5])
    assert type(answer) is type(given) and answer.shape == (5, 1200)
    labels, scores = model.predict_topk(X[:5], k=3)
    assert labels.shape == scores.shape == (5, 3)


def test_partial_fit_goes_on(wide):
    X, Y, groups = wide
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((16,)), n_rounds=3, random_state=0
    ).partial_fit(X, Y, groups=groups)
    first = model.history_[-1]["loss"]
    model.partial_fit(X, Y, groups=groups)
    assert model.n_rounds_ == 6
    assert [entry["round"] for entry in model.history_] == list(range(6))
    assert model.history_[-1]["loss"] < first
    assert {key[0] for key in model.ledger_.traffic} == {-1, *range(6)}


def test_groups_are_routed(digits):
    X, y, *_ = digits
    groups = np.arange(1200) % 6
    with config_context(enable_metadata_routing=True):
        result = cross_validate(
            FederatedLSHClassifier(n_rounds=2, random_state=0), X, y,
            cv=GroupKFold(3), params={"groups": groups}, return_estimator=True,
        )  # fmt: skip
    assert [len(model.device_ids_) for model in result["estimator"]] == [4, 4, 4]


def test_devices_may_differ(wide):
    X, Y, groups = wide
    estimator = SparseLSHMLPClassifier((16,), sampler="lsh", n_active=100)
    own = {
        0: {"n_tables": 4, "hash_length": 6},
        1: {"family": "dwta", "hash_length": 2},
        2: {"sampler": "uniform", "n_active": 10},
    }
    model = FederatedLSHClassifier(estimator, n_rounds=2, device_params=own, random_state=0)
    model.fit(X, Y, groups=groups)
    sketches = [model.ledger_.total(device=d, kind="sketch") for d in range(4)]
    assert sketches[2] == 0 and min(sketches[0], sketches[1], sketches[3]) > 0
    down = [model.ledger_.total(device=d, kind="head", direction="down") for d in range(4)]
    assert down[2] < min(down[0], down[1], down[3])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"activation": "tanh"}, "same on all devices"),
        ({"tables": 3}, "unknown setting 'tables'"),
        ({"n_estimators": 3}, "must not set 'n_estimators': devices do not read it"),
        ({"active_bytes": 0}, "active_bytes must be at least 1"),
        ({"active_bytes": 3, "sampler": "random"}, "active_bytes must be at least"),
        ({"active_bytes": 2**20, "sampler": "all"}, "active_bytes with sampler='all'"),
        ({"active_bytes": 2**20, "n_active": 9}, "both n_active and active_bytes"),
        ([{}, {}, {"early_stopping": True}, {}], "'early_stopping': devices do not read it"),
        ({"verbose": True}, "'verbose': devices do not read it"),
        ([{}], "one dict for each of 4 devices, got 1"),
        ({9: {}}, "not in groups"),
        ({"local_sampler": "lsh"}, "local_sampler must be one of"),
        ({"sampler": "codes"}, 'must not be "codes" on devices, .*"selection": "codes"'),
        ({"local_steps": 0}, r"device_params' local_steps must be in \[1, 1000000\], got 0"),
        ({"local_steps": 10**9}, "local_steps must be in"),
        ({0: {}, 2: {"batch_size": -3}}, "'batch_size' parameter of device_params must be"),
        ({"dropout": 1.0}, "'dropout' parameter of device_params must be"),
        ({"n_probes": 0}, "n_probes must be at least 1, got 0"),
        ({"n_decoys": -1}, "n_decoys must be a finite number, at least 0, got -1"),
        ({"include_labels": "no"}, "include_labels must be True or False, got 'no'"),
        ([{}, {}, 3, {}], "device_params must be dicts, got 3 at position 2"),
    ],
)
def test_bad_device_params(wide, params, message):
    X, Y, groups = wide
    with pytest.raises(ValueError, match=message):
        FederatedLSHClassifier(device_params=params).fit(X, Y, groups=groups)


def test_local_steps_have_an_end(digits):
    with pytest.raises(ValueError, match=r"'local_steps' .* int in the range \[1, 1000000\]"):
        FederatedLSHClassifier(local_steps=10**9).fit(*digits[:2])


def test_entries_beyond_float32(digits):
    X, y, *_ = digits
    with pytest.raises(ValueError, match="X must have entries within float32"):
        FederatedLSHClassifier().fit(1e39 * X, y)


def test_the_estimator_goes_on_alone(digits):
    """A batch of two classes does not make it forget the others."""
    X, y, X_test, y_test = digits
    model = FederatedLSHClassifier(n_rounds=5, random_state=0).fit(X, y, groups=np.arange(1200) % 4)
    own = model.estimator_
    own.partial_fit(X[y < 2][:20], y[y < 2][:20])
    assert own.network_.n_observed == 10
    assert own.score(X_test, y_test) > 0.8


def test_devices_keep_their_numbers(digits):
    X, y, *_ = digits
    names = np.array(["b", "d", "a", "c"])
    model = FederatedLSHClassifier(n_rounds=1, random_state=0)
    model.fit(X[:200], y[:200], groups=names[np.arange(200) % 2])
    assert model.device_ids_.tolist() == ["b", "d"]
    model.partial_fit(X[:300], y[:300], groups=names[1 + np.arange(300) % 3])
    assert model.device_ids_.tolist() == ["b", "d", "a", "c"]
    by_round = [{d for r, d, *_ in model.ledger_.traffic if r == number} for number in range(2)]
    assert by_round == [{0, 1}, {1, 2, 3}]
    assert list(model.caches_) == ["b", "d", "a", "c"]
    # Numbers beside text stay numbers.
    model.partial_fit(X[:100], y[:100])
    assert model.device_ids_.tolist() == ["b", "d", "a", "c", 0]


def test_a_failed_partial_fit_leaves_no_traces(digits):
    X, y, *_ = digits
    groups = np.arange(1200) % 4
    model = FederatedLSHClassifier(n_rounds=2, random_state=0).fit(X, y, groups=groups)
    traffic, memory = dict(model.ledger_.traffic), dict(model.ledger_.memory)

    def stop(network, entry):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callback=stop).partial_fit(X, y, groups=groups)
    assert (dict(model.ledger_.traffic), dict(model.ledger_.memory)) == (traffic, memory)
    assert model.n_rounds_ == model.server_.round == len(model.history_) == 2


def test_faults_before_the_first_round_are_in_its_entry():
    _, transport = federation()

    def change(question, replies):
        drops = {"client_statistics": 1, "hidden_mean": 2}
        return [r for r in replies if drops.get(question) != r.device]

    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((12,)), n_rounds=2, payload="float32", random_state=0,
        transport=Tampering(transport, change),
    ).fit_devices(N_FEATURES, N_LABELS)  # fmt: skip
    first, second = model.history_
    assert first["start_faults"] == {"missing": 2} and "start_faults" not in second
    assert first["faults"] == second["faults"] == {}


def test_bad_groups(wide):
    X, Y, groups = wide
    with pytest.raises(ValueError, match="groups must have one device id for each of the 1500"):
        FederatedLSHClassifier().fit(X, Y, groups=groups[1:])
    nan = np.where(groups == 1, np.nan, groups)
    for bad in (nan, nan.astype(object), np.where(groups == 1, np.inf, groups)):
        with pytest.raises(ValueError, match="groups must be without NaN and inf"):
            FederatedLSHClassifier().fit(X, Y, groups=bad)
    mixed = groups.astype(object)
    mixed[0] = "phone"
    with pytest.raises(TypeError, match="groups must be values that can be sorted"):
        FederatedLSHClassifier().fit(X, Y, groups=mixed)


def test_estimator_must_be_one_that_can_be_trained_so(digits):
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(TypeError, match="estimator must be a SparseLSHMLPClassifier"):
        FederatedLSHClassifier(LogisticRegression()).fit(*digits[:2])


@pytest.mark.parametrize(
    ("family", "fold", "hash_length", "width"),
    [("simhash", "signed", 5, 16), ("dwta", "signed", 3, 16), ("pghash_d", "sample", 6, 8)],
)
def test_the_methods_of_the_field_are_settings(wide, family, fold, hash_length, width):
    """SimHash and DWTA hash the whole head, PGHash-D a sample of its coordinates."""
    X, Y, groups = wide
    estimator = SparseLSHMLPClassifier(
        (16,), sampler="lsh", family=family, fold=fold, hash_length=hash_length, n_active=100
    )
    model = FederatedLSHClassifier(
        estimator, n_rounds=3, include_labels=False, body_exchange="full", payload="float32",
        device_params={"local_sampler": "all"}, contributor_power=(0, 0), random_state=0,
    ).fit(X, Y, groups=groups)  # fmt: skip
    assert 0 < model.history_[-1]["active_share"] <= 100 / 1200
    assert model.history_[-1]["n_used"] == 4
    # Header, sketched mean row, mean hidden vector, sketch and bias, to four devices, thrice.
    sketch = 16 + 4 * width + 4 * 16 + 1200 * (width + 1) * 4
    assert model.ledger_.total(kind="sketch") == 12 * sketch


@pytest.mark.parametrize("options", [{}, {"body_exchange": "local"}])
def test_the_unit_of_x_does_not_matter(digits, options):
    X, y, X_test, _ = digits
    groups = np.arange(1200) % 3
    usual = FederatedLSHClassifier(n_rounds=3, random_state=0, **options)
    usual.fit(X, y, groups=groups)
    scaled = clone(usual).fit(2.0**-30 * X, y, groups=groups)
    answers = usual.decision_function(X_test), scaled.decision_function(2.0**-30 * X_test)
    np.testing.assert_array_equal(*answers)


def test_the_former_name_of_contributor_power(digits):
    X, y, *_ = digits
    groups = np.arange(1200) % 4
    old = FederatedLSHClassifier(n_rounds=2, holder_power=(0, 0), random_state=0)
    with pytest.warns(FutureWarning, match="holder_power is called contributor_power now"):
        old.fit(X, y, groups=groups)
    new = FederatedLSHClassifier(n_rounds=2, contributor_power=(0, 0), random_state=0)
    new.fit(X, y, groups=groups)
    other = FederatedLSHClassifier(n_rounds=2, random_state=0).fit(X, y, groups=groups)
    assert np.array_equal(old.network_.head_weights, new.network_.head_weights)
    assert not np.array_equal(old.network_.head_weights, other.network_.head_weights)


def test_a_run_of_which_no_update_was_used_says_so(digits):
    X, y, *_ = digits
    model = FederatedLSHClassifier(n_rounds=2, device_params={"most_bytes": 1}, random_state=0)
    with pytest.warns(UserWarning, match="no device's update was of use in any round"):
        model.fit(X, y, groups=np.arange(1200) % 4)
    assert [entry["n_used"] for entry in model.history_] == [0, 0]


def test_device_ids_of_one_kind(digits):
    """A 1 and a "1" are not one device."""
    X, y, *_ = digits
    with pytest.raises(TypeError, match="groups must be values that can be sorted"):
        FederatedLSHClassifier().fit(X[:4], y[:4], groups=[1, "1", 2, "2"])
    with pytest.raises(ValueError, match="groups must be lists of one length"):
        FederatedLSHClassifier().fit(X[:2], y[:2], groups=[[1], [1, 2]])
