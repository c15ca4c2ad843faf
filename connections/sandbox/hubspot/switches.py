"""What HubSpot does not document, as switches.

Each stands for a question that only a live account answers. The default is the
behaviour to take as normal; tests of associations run under every value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = str | int | float | bool


class BadSwitch(ValueError):
    """No such switch, or no such value."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One question: its values, the first of which is the default."""

    name: str
    values: tuple[Value, ...]
    sentence: str
    any_number: bool = False

    @property
    def default(self) -> Value:
        return self.values[0]

    def check(self, value: Value) -> Value:
        """Return the value if the switch has it.

        Raises: BadSwitch.
        """
        if self.any_number and isinstance(value, int | float) and value >= 0:
            return value
        if value in self.values and type(value) is type(self.default):
            return value
        known = "a number" if self.any_number else ", ".join(map(str, self.values))
        raise BadSwitch(f"{self.name}={value}: {known}")


TABLE = (
    # Primary types
    Switch(
        "second_primary",
        ("demote", "refuse"),
        "Writing a primary while another stands demotes the former, or is refused.",
    ),
    Switch(
        "labels_without_primary",
        ("drop", "keep"),
        "A set of types written without the pair's primary drops or keeps it.",
    ),
    Switch(
        "first_link_primary",
        ("every_path", "default_writes", "never"),
        "A record's first company becomes primary by itself: over every write path, "
        "over the default-association endpoints alone, or never.",
    ),
    Switch(
        "moved_primary_reported",
        (True, False),
        "An answer's labels name a primary that came by itself.",
    ),
    # Labels
    Switch(
        "label_write",
        ("replace", "add"),
        "Types written to a pair replace its labels, or are added to them.",
    ),
    Switch(
        "primary_archive",
        ("leaves_plain", "removes_pair", "refused"),
        "What labels/archive of a primary type does.",
    ),
    # Limits
    Switch(
        "limit_error",
        ("errors_entry", "status_400"),
        "A batch that hits an association limit reports the pair or fails whole.",
    ),
    Switch(
        "technical_cap",
        (50_000,),
        "The most records of one type that one record may be linked to.",
        any_number=True,
    ),
    # Modified dates
    Switch(
        "link_moves_date",
        ("never", "with_roll_up", "always"),
        "A link change moves no record's modified date; or that of records with a "
        "roll-up property (contact's company, company's counts); or that of both ends.",
    ),
    Switch(
        "equal_write_moves_date",
        (True, False),
        "Writing the value that stands already moves the modified date.",
    ),
    # Versions
    Switch(
        "single_read_2026_09",
        (True, False),
        "2026-09 has the single-record association read.",
    ),
    Switch(
        "partial_status_2026_09",
        (207, 200),
        "The status of a partly failed batch under 2026-09.",
    ),
    # Sizes
    Switch(
        "association_page",
        (500,),
        "Links that one input of an association batch read returns per page.",
        any_number=True,
    ),
    Switch(
        "archive_from_cap",
        (100,),
        "Distinct `from` records of one association batch archive.",
        any_number=True,
    ),
    Switch(
        "pair_batch_cap",
        (1_000,),
        "Pairs of one labels/archive or associate/default call.",
        any_number=True,
    ),
    # Scopes, archived records, the rest
    Switch(
        "association_scopes",
        ("one_end", "both_ends"),
        "A link call needs the scope of either object type, or of both.",
    ),
    Switch(
        "archive_hides_links",
        (True, False),
        "Links of an archived record are hidden from reads.",
    ),
    Switch(
        "restore_brings_links",
        (True, False),
        "A restored record has its links again.",
    ),
    Switch(
        "archived_read",
        ("hidden", "shown"),
        "A single read of an archived record without archived=true is 404, or answers.",
    ),
    Switch("domain_unique", (False, True), "Company domains are unique on create."),
    Switch("retry_after", (False, True), "A 429 carries a Retry-After header."),
    Switch(
        "association_bucket",
        ("separate", "inside"),
        "Association calls spend their own limit, or the general one as well.",
    ),
    Switch(
        "id_form",
        ("strings", "numbers"),
        "Record ids in association answers are JSON strings or numbers.",
    ),
    Switch(
        "unset_values",
        ("null", "left_out"),
        "An asked property that is unset is null in answers, or left out, as some "
        "gateways do.",
    ),
    Switch(
        "search_lag_s",
        (1.5,),
        "Seconds until search sees a write.",
        any_number=True,
    ),
)
BY_NAME = {switch.name: switch for switch in TABLE}


class Switches:
    """The values in force.

    Args: table, a fake system's switches (HubSpot's where none is given).
    Raises: BadSwitch for a name or value that the table does not have.
    """

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        table: Sequence[Switch] = TABLE,
    ) -> None:
        self._known = {switch.name: switch for switch in table}
        self._values = {switch.name: switch.default for switch in table}
        self.update(values or {})

    def update(self, values: Mapping[str, Value]) -> None:
        """Set some switches: all of them, or none if one is bad."""
        unknown = [name for name in values if name not in self._known]
        if unknown:
            known = ", ".join(self._known)
            raise BadSwitch(f"no switch {unknown[0]!r}; known: {known}")
        checked = {n: self._known[n].check(value) for n, value in values.items()}
        self._values.update(checked)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def number(self, name: str) -> float:
        """Return a switch that holds a number."""
        return float(self._values[name])

    def values(self) -> dict[str, Value]:
        """Return every switch with its value."""
        return dict(self._values)

    def describe(self) -> dict[str, object]:
        """Return every switch with its value and what it means."""
        return {
            name: {
                "value": self._values[name],
                "values": list(switch.values),
                "meaning": switch.sentence,
            }
            for name, switch in self._known.items()
        }
