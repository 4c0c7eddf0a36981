"""SparseLSHMLPClassifier as a user and as scikit-learn meet it."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklsh import SparseLSHMLPClassifier

# As for scikit-learn's own SGDClassifier and Perceptron: a row of weight 2 is one gradient of
# twice the size, a repeated row is two rows that fall into different batches. Both train to
# the same in distribution, not to the same bits. `test_sample_weight_*` holds what does hold.
NOT_EQUAL = "mini-batches: sample_weight is not equivalent to repeating rows, bit by bit"
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": NOT_EQUAL,
    "check_sample_weight_equivalence_on_sparse_data": NOT_EQUAL,
}


@parametrize_with_checks(
    [SparseLSHMLPClassifier()], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
