"""The key lab: what match keys would do, from live data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone

from associations.drafts.looking import Look
from associations.drafts.sampling import Sample, Seen, sample
from associations.drafts.wording import NORMALIZERS
from associations.setup.compatible import fit
from associations.setup.defaults import default_match
from associations.setup.spec import MatchPart
from connections.records import Side, ValueType
from syncs.engine.matching import Key, KeyPart, key_values
from syncs.models import SyncDraft

Json = dict[str, Any]
Pairs = dict[str, str]  # HubSpot's id to the app's
SHOWN = 5  # repeated values, sample pairs, suggestions
TRIED = 8  # second keys
LIKELY = (ValueType.TEXT, ValueType.NUMBER)


def study(draft: SyncDraft, look: Look) -> None:
    """Look at live records, and keep what the chosen keys would do on the draft.

    Raises: ConnectorError.
    """
    assert look.settled is not None, "both objects are known"
    keys = [_key(key) for key in look.settled.match]
    more = _candidates(look, keys)
    names = {
        side: {part.name_on(side) for key in (*keys, *more) for part in key}
        | {look.objects[side].display_field or ""}
        for side in Side
    }
    samples = sample(draft.app, look.objects, names, look.settled.timezone)
    draft.findings = draft.findings | {"lab": _found(look, keys, more, samples)}
    draft.save(update_fields=["findings"])


def shown_lab(draft: SyncDraft, look: Look) -> Json | None:
    """What was found last; `stale` where other keys are chosen by now."""
    found = draft.findings.get("lab")
    if not found or look.settled is None:
        return None
    now = [_written(_key(key)) for key in look.settled.match]
    return {**found, "stale": found["chosen"] != now}


def _key(parts: Iterable[MatchPart]) -> Key:
    return tuple(KeyPart(p.hubspot, p.app, p.normalize) for p in parts)


def _written(key: Key) -> list[list[str]]:
    return [[p.hubspot, p.app, p.normalize] for p in key]


def _words(key: Key) -> str:
    return " and ".join(f"{p.hubspot} = {p.app}" for p in key)


def _candidates(look: Look, keys: Sequence[Key]) -> list[Key]:
    """Second keys worth a try: the usual ones, then mapped fields whose types fit."""
    assert look.settled is not None
    objects = look.objects
    hubspot, app = objects[Side.HUBSPOT], objects[Side.APP]
    usual = [_key(k) for k in default_match(hubspot, app, look.settled.fields, "")]
    mapped: list[Key] = []
    for mapping in look.settled.fields:
        one, other = hubspot.field(mapping.hubspot), app.field(mapping.app)
        if one is None or other is None or not fit(one.type, other.type):
            continue
        if one.type in LIKELY and other.type in LIKELY:
            mapped.append((KeyPart(one.name, other.name, "casefold"),))
    taken = {(p.hubspot, p.app) for key in keys for p in key}
    return [
        key
        for key in dict.fromkeys([*usual, *mapped])
        if (key[0].hubspot, key[0].app) not in taken
    ][:TRIED]


def _found(
    look: Look, keys: Sequence[Key], more: Sequence[Key], samples: Mapping[Side, Sample]
) -> Json:
    pairs = _matched(keys, samples)
    fewer = min(len(s.records) for s in samples.values())
    return {
        "at": timezone.now().isoformat(timespec="seconds"),
        "chosen": [_written(key) for key in keys],
        "sides": {
            str(side): {"read": len(found.records), "complete": found.complete}
            for side, found in samples.items()
        },
        "keys": [_about(key, samples) for key in keys],
        "pairs": len(pairs),
        "rate": round(100 * len(pairs) / fewer) if fewer else 0,
        "samples": _shown_pairs(look, keys, pairs, samples),
        "gains": _gains(keys, more, samples, len(pairs)),
    }


def _about(key: Key, samples: Mapping[Side, Sample]) -> Json:
    """How a key fares on each side: who has it, and which values repeat."""
    found: Json = {"words": _words(key)}
    for side, one in samples.items():
        held = _by_value(one.records, key, side)
        repeated = {v: ids for v, ids in held.items() if len(ids) > 1}
        having = {i for ids in held.values() for i in ids}
        most = sorted(repeated.items(), key=lambda item: -len(item[1]))[:SHOWN]
        found[str(side)] = {
            "have": len(having),
            "of": len(one.records),
            "repeated": len(repeated),
            "examples": [[value, ids[:SHOWN], len(ids)] for value, ids in most],
        }
    return found


def _by_value(records: Iterable[Seen], key: Key, side: Side) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in records:
        for value in key_values(record.values, record.more, key, side):
            found.setdefault(value, []).append(record.id)
    return found


def _matched(keys: Sequence[Key], samples: Mapping[Side, Sample]) -> Pairs:
    """The pairs that the keys would make, in order; a value that repeats makes none.

    A later key pairs nothing of which both sides hold an earlier key.
    """
    pairs: Pairs = {}
    keyed: dict[Side, set[str]] = {side: set() for side in Side}
    for key in keys:
        held = {s: _by_value(samples[s].records, key, s) for s in Side}
        taken = {Side.HUBSPOT: set(pairs), Side.APP: set(pairs.values())}
        for value, ours in held[Side.HUBSPOT].items():
            theirs = held[Side.APP].get(value, [])
            if len(ours) != 1 or len(theirs) != 1:
                continue
            one, other = ours[0], theirs[0]
            if one in taken[Side.HUBSPOT] or other in taken[Side.APP]:
                continue
            if one in keyed[Side.HUBSPOT] and other in keyed[Side.APP]:
                continue
            pairs[one] = other
            taken[Side.HUBSPOT].add(one)
            taken[Side.APP].add(other)
        for side in Side:
            keyed[side] |= {i for ids in held[side].values() for i in ids}
    return pairs


def _shown_pairs(
    look: Look, keys: Sequence[Key], pairs: Pairs, samples: Mapping[Side, Sample]
) -> list[list[str]]:
    by_id = {s: {r.id: r for r in samples[s].records} for s in Side}
    return [
        [
            _name(look, keys, Side.HUBSPOT, by_id[Side.HUBSPOT][one]),
            _name(look, keys, Side.APP, by_id[Side.APP][other]),
        ]
        for one, other in list(pairs.items())[:SHOWN]
    ]


def _name(look: Look, keys: Sequence[Key], side: Side, record: Seen) -> str:
    shown = [look.objects[side].display_field]
    shown += [part.name_on(side) for key in keys for part in key]
    texts = [str(v) for name in dict.fromkeys(shown) if (v := record.values.get(name))]
    return f"{', '.join(texts)} ({record.id})" if texts else record.id


def _gains(
    keys: Sequence[Key], more: Sequence[Key], samples: Mapping[Side, Sample], now: int
) -> list[Json]:
    """What another normaliser, or one more key, would gain; the largest gain first."""
    tried: list[tuple[str, list[Key]]] = []
    for at, key in enumerate(keys):
        if len(key) != 1:
            continue
        for how, words in NORMALIZERS.items():
            if how != key[0].normalize:
                other = (KeyPart(key[0].hubspot, key[0].app, how),)
                text = f"{_words(key)} compared {words}"
                tried.append((text, [*keys[:at], other, *keys[at + 1 :]]))
    tried += [(f"also by {_words(key)}", [*keys, key]) for key in more]
    found = [(len(_matched(chosen, samples)) - now, words) for words, chosen in tried]
    best = sorted((one for one in found if one[0] > 0), key=lambda one: -one[0])
    return [{"words": words, "gain": gain} for gain, words in best[:SHOWN]]
