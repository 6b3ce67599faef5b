"""Invented customers for ``make run``: no real person, company or number; the same for the same seed.

Addresses end in the reserved domains of RFC 2606, numbers lie in ranges set aside for fiction.
"""

import datetime as dt
import os
import random
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

PEOPLE = 40_000
SEED = 20260
TODAY = dt.date(2026, 11, 1)

FIRST = (
    "Ada Aiko Amara Ana Anouk Béla Ben Björn Carla Chidi Chloé Daan Deniz Elif Emeka Emil Fatou Freya Gita Goran "
    "Hana Hugo Ilse Inês Ivo Jana Jürgen Kaito Katja Lars Leïla Łukasz Maja Marek Mina Nadia Niko Noor Océane Omar "
    "Paula Petr Quentin Rania Renée Rui Sanne Søren Tariq Tereza Ulla Uwe Vera Viktor Wanda Xenia Yara Yusuf Zoë Živa"
).split()
LAST = (
    "Achterberg Almqvist Bäcker Brandão Castellan D'Arco Dvořáková Eriksdotter Farkas García Grönlund Haddad Ishiyama "
    "Jankowiak Kapoor Kovačić Lindqvist Marchetti Müller-Ahn Nakagawa Ní-Dhuibh Okonjo Özkaya "
    "Petrescu Quispe Rasmussen "
    "Šimůnek Silva-Rocha Tanizaki Umarov Vandenberghe Weidmann Yıldırım Żurawska"
).split()
PLACES = (
    ("Germany", "DE", "Lindenau", "04177"),
    ("France", "FR", "Valmont-sur-Lys", "62190"),
    ("Netherlands", "NL", "Oosterveen", "7844"),
    ("Sweden", "SE", "Björkhamn", "591 45"),
    ("Poland", "PL", "Nowa Dąbrowa", "64-200"),
    ("Spain", "ES", "Villaclara del Río", "09195"),
    ("Italy", "IT", "Montelago", "53040"),
    ("Portugal", "PT", "São Brás", "8150"),
    ("Ireland", "IE", "Kilmoyle", "F92"),
    ("Denmark", "DK", "Ærøby", "5970"),
)
COMPANY_FIRST = (
    "Amber Birch Cobalt Delta Ember Fjord Granite Harbour Iris Juniper Kestrel Lumen Meridian North".split()
)
COMPANY_LAST = (
    "Analytics Bakery Coatings Design Energy Freight Gardens Health Interiors Labs Mills Optics".split()
)
JOBS = (
    "Buyer",
    "Head of marketing",
    'Sales "field" lead',
    "Nurse",
    "Teacher",
    "Engineer",
    "Owner, founder",
    None,
)
TIERS = (("gold", 8), ("silver", 22), ("bronze", 40), (None, 30))


def write_sample(folder: Path, *, people: int = PEOPLE, seed: int = SEED) -> bool:
    """Write customers, segments and tables into ``folder``; leave a folder that exists alone.

    Returns whether anything was written. The folder appears complete or not at all.
    """
    if folder.exists():
        return False
    building = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    for place in ("segments", "tables"):
        (building / place).mkdir(parents=True)
    rng = random.Random(seed)  # noqa: S311  # the same people each time is the point
    customers = [_person(rng, number) for number in range(1, people + 1)]
    table = pa.Table.from_pylist(customers)
    pq.write_table(table, building / "customer.parquet", compression="zstd")
    _write_segments(building / "segments", customers, rng)
    _write_tables(building / "tables", customers, rng)
    building.rename(folder)
    return True


def _person(rng: random.Random, number: int) -> dict[str, Any]:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    country, code, city, postal = rng.choice(PLACES)
    company = f"{rng.choice(COMPANY_FIRST)} {rng.choice(COMPANY_LAST)}" if rng.random() < 0.55 else None
    plain = unicodedata.normalize(
        "NFKD", f"{first}.{last}".replace("ł", "l").replace("Ł", "L").replace("ø", "o")
    )
    mailbox = re.sub(r"[^a-z.-]", "", plain.lower()) + f".{number}"
    joined = TODAY - dt.timedelta(days=rng.randrange(1, 2_400))
    return {
        "customer_id": f"C{number:07d}",
        "first_name": first,
        "last_name": last,
        "email": f"{mailbox}@example.{rng.choice(('com', 'org', 'net'))}" if rng.random() < 0.97 else None,
        "phone": f"+1 202 555 01{number % 100:02d}" if rng.random() < 0.6 else None,
        "birth_date": dt.date(1940, 1, 1) + dt.timedelta(days=rng.randrange(24_000))
        if rng.random() < 0.8
        else None,
        "city": city,
        "postal_code": postal,
        "country": country,
        "country_code": code,
        "company": company,
        "website": f"https://{company.lower().replace(' ', '-')}.example" if company else None,
        "job_title": rng.choice(JOBS) if company else None,
        "loyalty_tier": rng.choices([tier for tier, _ in TIERS], [weight for _, weight in TIERS])[0],
        "lifetime_value": round(rng.lognormvariate(4.6, 1.1), 2),
        "opted_in": rng.random() < 0.62,
        "remarks": 'Prefers mornings; said "call, don\'t write"' if rng.random() < 0.02 else None,
        "created_at": dt.datetime.combine(joined, dt.time(rng.randrange(24), rng.randrange(60)), dt.UTC),
    }


def _write_segments(folder: Path, customers: list[dict[str, Any]], rng: random.Random) -> None:
    def ids(members: list[dict[str, Any]]) -> pa.Table:
        return pa.table({"customer_id": [person["customer_id"] for person in members]})

    gold = [person for person in customers if person["loyalty_tier"] == "gold"]
    silver = [person for person in customers if person["loyalty_tier"] == "silver"]
    readers = [person for person in customers if person["opted_in"] and person["email"]]
    pq.write_table(ids(gold), folder / "loyalty_gold.parquet", compression="zstd")
    pq.write_table(ids(silver), folder / "loyalty_silver.parquet", compression="zstd")
    pq.write_table(ids(readers), folder / "newsletter_readers.parquet", compression="zstd")
    # a list kept by hand, with somebody on it who is no customer any more
    trial = ids(rng.sample(customers, min(250, len(customers))))
    former = pa.table({"customer_id": ["C9999901", "C9999902"]})
    pacsv.write_csv(pa.concat_tables([trial, former]), folder / "store_opening_guests.csv")
    (folder / "high_value.sql").write_text(
        "SELECT customer_id FROM customer WHERE lifetime_value >= 300\n", encoding="utf-8"
    )
    (folder / "recent_buyers.sql").write_text(
        "SELECT DISTINCT customer_id FROM orders WHERE ordered_at >= DATE '2026-08-01'\n", encoding="utf-8"
    )


def _write_tables(folder: Path, customers: list[dict[str, Any]], rng: random.Random) -> None:
    start = dt.datetime(2025, 11, 1, tzinfo=dt.UTC)
    orders = [
        {
            "order_id": f"O{number:08d}",
            "customer_id": rng.choice(customers)["customer_id"],
            "ordered_at": start + dt.timedelta(minutes=rng.randrange(525_600)),
            "channel": rng.choice(("web", "store", "phone")),
            "amount": round(rng.lognormvariate(3.4, 0.8), 2),
            "currency": "EUR",
        }
        for number in range(1, 2 * len(customers) + 1)
    ]
    pq.write_table(pa.Table.from_pylist(orders), folder / "orders.parquet", compression="zstd")
    visits = [
        {
            "customer_id": rng.choice(customers)["customer_id"],
            "store": rng.choice(PLACES)[2],
            "visited_on": TODAY - dt.timedelta(days=rng.randrange(365)),
            "minutes": rng.randrange(3, 90),
        }
        for _ in range(len(customers) // 2)
    ]
    pacsv.write_csv(pa.Table.from_pylist(visits), folder / "store_visits.csv")
