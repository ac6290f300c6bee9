"""Heads: small classifiers on features, made the scikit-learn way."""
