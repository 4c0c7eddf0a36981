"""How "auto" is resolved, and that what is given is left alone."""

import pytest

from sklsh import SparseLSHMLPClassifier
from sklsh.network.settings import MIN_VALIDATION, Settings


def resolve(n_samples=10_000, n_labels=50_000, dense=False, **params):
    params = SparseLSHMLPClassifier(**params).get_params()
    return Settings.resolve(params, n_samples, n_labels, dense)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation", "tanh"), ("sampler", "uniform"), ("n_active", 77), ("family", "dwta"),
        ("fold", "periodic"), ("n_tables", 5), ("hash_length", 9), ("sketch_dim", 11),
        ("rehash_interval", 13), ("n_neighbors", 0), ("dropout", 0.0), ("alpha", 0.5),
        ("batch_size", 50), ("learning_rate_init", 0.5), ("max_iter", 2), ("tol", 0.1),
        ("n_iter_no_change", 9), ("early_stopping", True), ("shuffle", False),
    ],
)  # fmt: skip
def test_what_is_given_is_taken(name, value):
    assert getattr(resolve(**{name: value}), name) == value
    assert getattr(resolve(), name) != value


def test_the_wider_the_head_the_less_of_it():
    assert resolve(n_labels=1_000).sampler == "all"
    assert resolve(n_labels=100_000).sampler in ("lsh", "random")
    assert resolve(n_labels=100).n_active <= 100
    lengths = [resolve(n_labels=n).hash_length for n in (10, 10**4, 10**6, 10**9)]
    assert lengths == sorted(lengths) and lengths[0] >= 1 and lengths[-1] <= 62


def test_small_data_sees_more_epochs_in_smaller_batches():
    small, large = resolve(n_samples=200), resolve(n_samples=200_000)
    assert small.max_iter > large.max_iter and small.batch_size < large.batch_size
    for n_samples in (1, 2, 5, 200, 200_000):
        settings = resolve(n_samples=n_samples)
        assert 1 <= settings.batch_size <= n_samples - settings.n_validation
        assert settings.max_iter >= 1


def test_validation_rows():
    assert resolve(n_samples=2_000).n_validation == 200
    assert resolve(n_samples=10**6).n_validation == 1_000
    assert resolve(n_samples=10_000, validation_fraction=0.5).n_validation == 5_000
    # So few decide nothing: none are held out.
    assert resolve(n_samples=10 * MIN_VALIDATION - 10).n_validation == 0
    for n_samples, expected in (490, 0), (500, 125), (2_400, 500), (9_000, 900), (10**6, 4_000):
        of_users = Settings.resolve(
            SparseLSHMLPClassifier().get_params() | {"n_neighbors": 5}, n_samples, 50,
            max_validation=4_000, least_validation=500,
        )  # fmt: skip
        assert of_users.n_validation == expected
    assert resolve(n_samples=60, validation_fraction=0.99).n_validation == 59


def test_hidden_layer_sizes():
    assert resolve(hidden_layer_sizes=7).hidden_layer_sizes == (7,)
    assert resolve(hidden_layer_sizes=[7, 5]).hidden_layer_sizes == (7, 5)


def test_less_effort_is_a_narrower_network_of_fewer_epochs_beside_one_tree():
    best, fast = (resolve(n_samples=10**6, effort=effort) for effort in ("best", "fast"))
    assert (best.hidden_layer_sizes, best.n_trees, best.max_iter) == ((512,), 3, 3)
    assert (fast.hidden_layer_sizes, fast.n_trees, fast.max_iter) == ((256,), 1, 2)
    assert resolve(n_samples=10**6, dense=True).n_trees == 3
    given = {"hidden_layer_sizes": (7,), "linear": False, "max_iter": 9}
    assert resolve(**given, effort="fast") == resolve(**given)
    small = [resolve(n_samples=2_000, effort=effort).max_iter for effort in ("best", "fast")]
    assert 2 < small[1] <= 0.7 * small[0]


@pytest.mark.parametrize(("n_labels", "width"), [(2, 512), (1 << 17, 512), ((1 << 17) + 1, 256)])
def test_an_automatic_layer_is_narrower_where_the_head_is_large(n_labels, width):
    settings = resolve(n_labels=n_labels, hidden_layer_sizes="auto")
    assert settings.hidden_layer_sizes == (width,)


def test_fewer_steps_where_neighbors_are_added():
    voting, alone = resolve(n_labels=2_000), resolve(n_labels=2_000, n_neighbors=0)
    n_steps = -(-9_000 // voting.batch_size)
    assert voting.max_iter == -(-400 // n_steps)
    assert alone.max_iter == -(-600 // n_steps)


@pytest.mark.parametrize(("sketch_dim", "length"), [(None, 64), (6, 6)])
def test_one_winner_of_sampled_coordinates(sketch_dim, length):
    # An eighth of 512 hidden units; 50,000 labels want 7 bits, which so few can't give.
    settings = resolve(family="pghash_d", fold="sample", sketch_dim=sketch_dim)
    assert settings.hash_length == length


def test_a_family_that_nobody_knows():
    with pytest.raises(ValueError, match=r"family must be one of .*'pghash'.*, got 'md5'"):
        resolve(family="md5")


def test_dense_rows_train_faster_and_for_longer():
    sparse, dense = (resolve(3000, 100, dense=d) for d in (False, True))
    assert dense.learning_rate_init == 2 * sparse.learning_rate_init
    assert dense.max_iter == 2 * sparse.max_iter
    said = resolve(3000, 100, dense=True, max_iter=5, learning_rate_init=0.3)
    assert (said.max_iter, said.learning_rate_init) == (5, 0.3)
