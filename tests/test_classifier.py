"""SparseLSHMLPClassifier as a user and as scikit-learn meet it."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklsh import SparseLSHMLPClassifier

EXPECTED_FAILURES: dict[str, str] = {}


@parametrize_with_checks(
    [SparseLSHMLPClassifier()], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
