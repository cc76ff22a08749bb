from oml.bundles.card import Card
from oml.bundles.folder import Bundle, load_bundle, save_bundle
from oml.bundles.hub import pull_bundle, push_bundle

__all__ = ["Bundle", "Card", "load_bundle", "pull_bundle", "push_bundle", "save_bundle"]
