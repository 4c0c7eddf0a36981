"""Large-output learning on small machines, in the manner of scikit-learn."""
