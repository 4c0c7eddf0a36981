"""Items that nobody has had, scored from their features alone: three ways, and by chance.

    python benchmarks/recommender_cold_items.py --data FOLDER

FOLDER is a multilabel set (X_train.npz, Y_train.npz and so on). Its labels are users, its rows
items, the columns of X their features, of which singular vectors are taken; rows for testing are
items that came later. Asked are users with three items or more who have a later one. Ways: the
cosine of an item and the mean features of a user's items; a ridge regression from features to rows
of the network's head; a tenth of the second, standardised by users, added to the first. Adds to
results/recommender-cold-items.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler, normalize

from sklsh import LSHRecommender
from sklsh.metrics import ndcg_at_k, recall_at_k

RESULTS = Path(__file__).parent / "results" / "recommender-cold-items.json"
N_FACTORS, ALPHA, SHARE, LEAST, K = 300, 0.1, 0.1, 3, 20


def standardised(scores: np.ndarray) -> np.ndarray:
    return StandardScaler().fit_transform(scores.T).T


def scores_of(model: LSHRecommender, user_items, features, new) -> dict[str, np.ndarray]:
    """Scores ``(n_users, n_new)`` by way."""
    content = normalize(user_items @ features) @ normalize(new).T
    network, known = model.network_, model.item_counts_ > 0
    neurons = np.column_stack([network.head_weights, network.head_bias])[known]
    weights = model.item_counts_[known] / model.item_counts_[known].mean()
    ridge = Ridge(alpha=ALPHA).fit(features[known], neurons, sample_weight=weights)
    found = ridge.predict(new)
    head = model.transform(user_items) @ found[:, :-1].T + found[:, -1]
    return {
        "chance": np.random.default_rng(0).random(content.shape),
        "mean features": content,
        "ridge to the head": head,
        "both": standardised(content) + SHARE * standardised(head),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    if args.data is None:
        print("recommender_cold_items needs --data, a folder of a multilabel set: nothing measured")
        return
    user_items, later = (
        sp.csr_matrix(sp.load_npz(args.data / f"Y_{part}.npz").T, dtype=np.float32)
        for part in ("train", "test")
    )
    words, new = (sp.load_npz(args.data / f"X_{part}.npz") for part in ("train", "test"))
    factors = TruncatedSVD(N_FACTORS, random_state=0).fit(words)
    model = LSHRecommender((args.hidden,), random_state=0, n_jobs=args.jobs).fit(user_items)
    asked = np.flatnonzero((np.diff(user_items.indptr) >= LEAST) & (np.diff(later.indptr) > 0))
    runs = []
    for way, scores in scores_of(
        model, user_items[asked], factors.transform(words), factors.transform(new)
    ).items():
        ranked = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        runs.append(
            {
                "set": args.data.name, "way": way, "users": len(asked), "items": later.shape[1],
                "recall@20": recall_at_k(later[asked], ranked, K),
                "ndcg@20": ndcg_at_k(later[asked], ranked, K),
            }
        )  # fmt: skip
        print(runs[-1], flush=True)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    kept = [run for run in kept if run["set"] != args.data.name]
    RESULTS.write_text(json.dumps([*kept, *runs], indent=1))


if __name__ == "__main__":
    main()
