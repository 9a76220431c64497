"""The made-up bookshop of make_sample_data.py: books in series, readers with tastes, and what they do, free of dirt."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

START = datetime.datetime(2024, 1, 1)  # UTC; a Monday, in the past on every machine
VOLUMES = 8  # books of a series
GENRES = {
    "Crime": ("Inspector Vale", "Harbour", "Alibi", "Witness", "Verdict", "Cold Case", "Lockpick", "Informant"),
    "Thriller": ("Cipher", "Courier", "Sleeper", "Deadline", "Safehouse", "Blackout", "Defector", "Fallout"),
    "Science Fiction": ("Orbit", "Colony", "Signal", "Android", "Starship", "Terraformer", "Quantum", "Exile"),
    "Fantasy": ("Dragon", "Oathkeeper", "Runestone", "Witchwood", "Throne", "Familiar", "Moonblade", "Alchemist"),
    "Romance": ("Letter", "Orchard", "Wedding", "Lighthouse", "Bakery", "Promise", "Summer House", "Serenade"),
    "History": ("Empire", "Regiment", "Cartographer", "Abbey", "Revolution", "Silk Road", "Chronicle", "Armada"),
    "Travel": ("Railway", "Monsoon", "Island", "Caravan", "Summit", "Ferry", "Desert", "Border"),
    "Cooking": ("Kitchen", "Harvest", "Bread", "Spice", "Market", "Pantry", "Fireside", "Vineyard"),
}
SETTINGS = ("Glass", "Winter", "Silent", "Crimson", "Northern", "Hidden", "Golden", "Last", "Broken", "Midnight")
VOLUME_TITLES = (
    "Dawn",
    "The Long Road",
    "A Stranger",
    "The Storm",
    "The Other Side",
    "The Secret",
    "The Reckoning",
    "The Return",
)
SECOND_CATEGORIES = ("Bestseller", "Debut", "Translated", "Prizewinner", "Audiobook")
COUNTRIES = ("DE", "FR", "GB", "NL", "PL")


@dataclass
class Series:
    genre: int
    name: str
    books: list[int]
    weight: float = 1.0  # how often readers start it
    follower: int = 0  # the series that its readers move on to
    quality: float = 0.0  # moves its ratings


@dataclass
class Shop:
    books: list[list[str]]
    readers: list[list[str]]
    series: list[Series]
    series_of: list[int]  # of each book


def make_shop(rng: np.random.Generator, users: int, items: int) -> Shop:
    series = [_series(rng, s, range(s * VOLUMES, min(items, (s + 1) * VOLUMES))) for s in range(-(-items // VOLUMES))]
    for s, one in enumerate(series):
        near = [o for o, other in enumerate(series) if o != s and (other.genre - one.genre) % len(GENRES) in (0, 1)]
        one.follower = int(rng.choice(near or [s]))
    books = [_book(rng, one, volume, book) for one in series for volume, book in enumerate(one.books)]
    readers = [_reader(rng, u) for u in range(users)]
    return Shop(books, readers, series, [s for s, one in enumerate(series) for _ in one.books])


def _series(rng: np.random.Generator, number: int, books: Iterable[int]) -> Series:
    genre, rank = number % len(GENRES), number // len(GENRES)
    words = list(GENRES.values())[genre]
    name = f"The {SETTINGS[rank % len(SETTINGS)]} {words[(rank // len(SETTINGS) + rank) % len(words)]}"
    copies = rank // (len(SETTINGS) * len(words))  # a large shop runs out of names
    name += f" {copies + 1}" if copies else ""
    return Series(genre, name, list(books), weight=(rank + 1.0) ** -0.7, quality=float(rng.normal(0, 0.4)))


def _book(rng: np.random.Generator, series: Series, volume: int, book: int) -> list[str]:
    genre = list(GENRES)[series.genre]
    categories = [genre] + [SECOND_CATEGORIES[rng.integers(5)]] * bool(rng.random() < 0.3)
    price = f"{6 + 1.5 * series.genre + rng.integers(0, 8) - 0.01:.2f}"
    text = (
        f"Volume {volume + 1} of {series.name}, a series for readers of {genre.lower()}. "
        f'{"Where it all starts" if volume == 0 else "The story goes on"}, "{VOLUME_TITLES[volume].lower()}" included.'
    )
    year = 1990 + (series.genre * 7 + volume + int(rng.integers(20))) % 34
    return [f"b{book}", f"{series.name} {volume + 1}: {VOLUME_TITLES[volume]}", "|".join(categories), price, str(year), text]


def _reader(rng: np.random.Generator, user: int) -> list[str]:
    country = COUNTRIES[rng.choice(5, p=[0.35, 0.25, 0.2, 0.12, 0.08])]
    return [
        f"r{user}",
        country,
        str(int(np.clip(rng.normal(38, 13), 16, 85))),
        str(rng.choice(["f", "m", "x"], p=[0.49, 0.49, 0.02])),
    ]


# Clean events


def make_events(rng: np.random.Generator, shop: Shop, days: int) -> list[list[str]]:
    """Every reader's events in time order, none of them twice, five seconds apart at least."""
    rows = [row for user in range(len(shop.readers) - 1) for row in _reader_events(rng, shop, user, days)]
    return sorted(rows, key=lambda row: row[0])  # stable, so the same order every time


def _reader_events(rng: np.random.Generator, shop: Shop, user: int, days: int) -> list[list[str]]:
    taste = rng.dirichlet(np.full(len(GENRES), 0.6))
    wanted = int(np.clip(rng.lognormal(4.3, 0.5) * days / 90, 4, 0.5 * len(shop.books)))
    rows: list[list[str]] = []
    times = _visit_times(rng, wanted, days)
    for (visit, seconds), book in zip(times, _books_read(rng, shop, taste, wanted), strict=False):
        liking = 2.0 * float(taste[shop.series[shop.series_of[book]].genre] ** 0.5) + shop.series[shop.series_of[book]].quality
        action = str(rng.choice(["view", "cart", "buy", "rate"], p=[0.6, 0.08, 0.12, 0.2]))
        rating = f"{np.clip(np.round(2 * (2.2 + liking + rng.normal(0, 0.5))) / 2, 0.5, 5):.1f}" if action == "rate" else ""
        device = ("web", "app", "tablet")[int(rng.choice(3, p=[0.5, 0.4, 0.1]))]
        rows.append([text_time(seconds), f"r{user}", f"b{book}", action, rating, f"v{user}-{visit}", device])
    return rows


def _visit_times(rng: np.random.Generator, wanted: int, days: int) -> list[tuple[int, int]]:
    """(visit, seconds since START) of up to `wanted` events, about six a visit, ending within the last day."""
    starts = np.sort(rng.integers(0, days * 86400 - 3600, size=-(-wanted // 6)))
    times: list[tuple[int, int]] = []
    now = 0
    for visit, start in enumerate(starts):
        now = max(now + 1800, int(start))
        for gap in rng.integers(20, 400, size=6):
            now += int(gap)
            times.append((visit, now))
    return [t for t in times[:wanted] if t[1] < days * 86400]


def _books_read(rng: np.random.Generator, shop: Shop, taste: np.ndarray, wanted: int) -> list[int]:
    """A walk through the series, each book at most once."""
    unread = set(range(len(shop.books)))
    genre = int(rng.choice(len(GENRES), p=taste))
    current = _pick_series(rng, shop, genre, unread)
    volume = 0 if current is None else _any_volume(rng, shop.series[current], unread)
    walk: list[int] = []
    while current is not None and len(walk) < wanted:
        series = shop.series[current]
        if volume < len(series.books) and series.books[volume] in unread:
            walk.append(series.books[volume])
            unread.discard(series.books[volume])
        if volume + 1 < len(series.books) and rng.random() < 0.55:
            volume += 1
            continue
        genre = _next_genre(rng, series.genre, taste)
        follows = rng.random() < 0.5 and not unread.isdisjoint(shop.series[series.follower].books)
        current = series.follower if follows else _pick_series(rng, shop, genre, unread)
        volume = 0 if current is None else _any_volume(rng, shop.series[current], unread)
    return walk


def _any_volume(rng: np.random.Generator, series: Series, unread: set[int]) -> int:
    """Readers join a series anywhere, so that co-occurrence does not tell the next volume from the one before."""
    return int(rng.choice([v for v, book in enumerate(series.books) if book in unread]))


def _next_genre(rng: np.random.Generator, genre: int, taste: np.ndarray) -> int:
    draw = rng.random()
    if draw < 0.5:
        return genre
    return (genre + 1) % len(GENRES) if draw < 0.8 else int(rng.choice(len(GENRES), p=taste))


def _pick_series(rng: np.random.Generator, shop: Shop, genre: int, unread: set[int]) -> int | None:
    open_ = [s for s, one in enumerate(shop.series) if not unread.isdisjoint(one.books)]
    here = [s for s in open_ if shop.series[s].genre == genre] or open_
    if not here:
        return None
    weights = np.array([shop.series[s].weight for s in here])
    return here[int(rng.choice(len(here), p=weights / weights.sum()))]


def text_time(seconds: int) -> str:
    return (START + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
