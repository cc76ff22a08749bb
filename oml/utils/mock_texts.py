"""A small data set of descriptions of products, written for this purpose."""

import pandas as pd

# name: its category, its split, its descriptions; labels count from 0 in this order
PRODUCTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "bed": (
        "furniture",
        "train",
        (
            "Oak bed for two with a padded headboard",
            "Narrow folding bed on wheels for guests",
            "Bunk bed of white metal with a ladder",
            "Low bed frame with two drawers underneath",
        ),
    ),
    "table": (
        "furniture",
        "train",
        (
            "Round dining table of walnut seats four",
            "Glass coffee table with a shelf below",
            "Desk table that stands or sits at a button",
            "Long kitchen table of solid pine",
            "Folding camping table, light as a feather",
            "Bedside table with one deep drawer",
        ),
    ),
    "tv": (
        "electronic",
        "train",
        (
            "Slim tv with a bright 55 inch screen",
            "Small tv for the kitchen wall, 24 inches",
            "Curved OLED tv with deep blacks",
            "Smart tv that opens all streaming apps",
        ),
    ),
    "potato": (
        "food",
        "train",
        (
            "Waxy potatoes for salads, one kilogram",
            "Sweet potato from the south, washed",
            "Baby potatoes with thin red skin",
            "Floury potatoes, best for mash",
            "A sack of organic potatoes, ten kilograms",
        ),
    ),
    "chair": (
        "furniture",
        "validation",
        (
            "Office chair with a mesh back and armrests",
            "Rocking chair of bent beech wood",
            "Stackable garden chair, weatherproof",
            "High chair for a baby with a tray",
        ),
    ),
    "phone": (
        "electronic",
        "validation",
        (
            "Phone with three cameras and fast charging",
            "Rugged phone that survives a fall into water",
            "Folding phone with a screen inside and outside",
            "Simple phone with large buttons for seniors",
            "Budget phone with two SIM cards",
            "Refurbished phone, 128 gigabytes, unlocked",
        ),
    ),
    "audio": (
        "electronic",
        "validation",
        (
            "Wireless headphones that silence the street",
            "Bookshelf speakers with warm bass, a pair",
            "Earbuds with a case that charges them",
            "Portable bluetooth speaker for the beach",
            "Turntable with a built-in amplifier",
            "Soundbar and subwoofer for loud movie nights",
        ),
    ),
}


def make_mock_texts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the tables (train, validation) of all descriptions."""
    rows = [
        {"label": label, "text": text, "split": split, "category": category}
        for label, (category, split, texts) in enumerate(PRODUCTS.values())
        for text in texts
    ]
    df = pd.DataFrame(rows)
    df_train, df_val = (df[df["split"] == split].reset_index(drop=True) for split in ("train", "validation"))
    return df_train.assign(is_query=None, is_gallery=None), df_val.assign(is_query=True, is_gallery=True)
