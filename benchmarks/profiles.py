"""Invented customer data for benchmarks: profiles of 20 columns with text in several languages, gaps and quotes."""

from pathlib import Path

import duckdb

FIELDS = (
    "customer_id",
    "first_name",
    "last_name",
    "email",
    "phone",
    "birth_date",
    "city",
    "country",
    "company",
    "lifetime_value",
    "opted_in",
    "created_at",
)
MORE_FIELDS = tuple(f"more_{n}" for n in range(10, 18))
ROLL = "CREATE MACRO roll(i, salt, sides) AS CAST(hash(i, salt) % sides AS INTEGER)"
PROFILES = """
    SELECT 'C' || lpad(CAST(i AS VARCHAR), 9, '0') AS customer_id,
        ['Ada', 'Björn', 'Chloé', 'Łukasz', 'Søren', 'Zoë'][1 + roll(i, 1, 6)] AS first_name,
        ['D''Arco', 'García', 'Müller-Ahn', 'Özkaya', 'Šimůnek'][1 + roll(i, 2, 5)] AS last_name,
        'person.' || i || '@example.com' AS email,
        CASE WHEN roll(i, 3, 10) < 6 THEN '+1 202 555 01' || lpad(CAST(i % 100 AS VARCHAR), 2, '0') END AS phone,
        DATE '1940-01-01' + roll(i, 4, 24000) AS birth_date,
        ['Lindenau', 'Oosterveen', 'São Brás', 'Nowa Dąbrowa'][1 + roll(i, 5, 4)] AS city,
        ['Germany', 'Netherlands', 'Portugal', 'Poland'][1 + roll(i, 5, 4)] AS country,
        CASE WHEN roll(i, 6, 2) = 0 THEN 'Harbour, Mills & "Sons" ' || i % 900 END AS company,
        roll(i, 7, 1000000) / 100 AS lifetime_value,
        roll(i, 8, 3) > 0 AS opted_in,
        TIMESTAMP '2020-01-01' + to_minutes(roll(i, 9, 3000000)) AS created_at,
        {more}
    FROM range({profiles}) AS numbers(i)
"""
MORE = ", ".join(
    f"CAST(roll(i, {n}, 100000) AS VARCHAR) AS {name}" for n, name in enumerate(MORE_FIELDS, start=10)
)


def write_profiles(folder: Path, profiles: int, *, segment: str = "", one_of: int = 1) -> None:
    """So many invented profiles as customer data in ``folder``; every ``one_of``-th is a member of ``segment``."""
    (folder / "segments").mkdir(parents=True)
    customers = folder / "customer.parquet"
    with duckdb.connect() as database:
        database.execute(ROLL)
        _write(database, PROFILES.format(more=MORE, profiles=profiles), customers)
        if segment:
            members = f"""
                SELECT customer_id FROM (
                    SELECT customer_id, file_row_number AS position FROM read_parquet('{customers}')
                ) WHERE position % {one_of} = 0
            """
            _write(database, members, folder / "segments" / f"{segment}.parquet")


def _write(database: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    """The query's rows as a Parquet file, compressed as such files usually are."""
    database.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
