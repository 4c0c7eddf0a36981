"""The wide network: plain arrays, a body and a very wide head. No scikit-learn, no federation."""
