"""What a property takes, how it keeps it, and which values are unique."""

from __future__ import annotations

import pytest

from tests.sandbox.calls import Http, inputs

DAY_MS = 86_400_000


@pytest.fixture
def fields(http: Http) -> Http:
    """Contacts with a property of every type."""
    options = {"options": [{"label": n.upper(), "value": n} for n in "abc"]}
    rows = [
        {"name": name, "label": name, "groupName": "information"}
        | {"type": kind, "fieldType": form}
        | more
        for name, kind, form, more in (
            ("f_text", "string", "text", {}),
            ("f_number", "number", "number", {}),
            ("f_date", "date", "date", {}),
            ("f_moment", "datetime", "date", {}),
            ("f_bool", "bool", "booleancheckbox", {}),
            ("f_pick", "enumeration", "select", options),
            ("f_many", "enumeration", "checkbox", options),
            ("f_key", "string", "text", {"hasUniqueValue": True}),
        )
    ]
    http.property_batch("contacts", "create", {"inputs": rows}).ok(201)
    return http


def kept(http: Http, name: str, value: object) -> object:
    """Return how a contact keeps a value that it takes."""
    made = http.create("contacts", {name: value}).ok(201)
    return http.shown("contacts", made["id"], name)[name]


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("f_text", " Ann ß 😀 ", " Ann ß 😀 "),
        ("f_text", "x" * 65_536, "x" * 65_536),
        ("f_text", 12, "12"),
        ("f_text", "a;b\nc", "a;b\nc"),
        ("f_number", "1200.50", "1200.5"),
        ("f_number", "-3", "-3"),
        ("f_number", "1e3", "1000"),
        ("f_number", 5, "5"),
        ("f_date", "2024-02-29", "2024-02-29"),
        ("f_date", str(19_782 * DAY_MS), "2024-02-29"),
        ("f_date", "2024-02-29T00:00:00Z", "2024-02-29"),
        ("f_moment", "2024-02-29T12:30:00Z", "2024-02-29T12:30:00.000Z"),
        ("f_moment", "2024-02-29T12:30:00.123+02:00", "2024-02-29T10:30:00.123Z"),
        ("f_moment", "1709209800000", "2024-02-29T12:30:00.000Z"),
        ("f_bool", "true", "true"),
        ("f_bool", False, "false"),
        ("f_pick", "a", "a"),
        ("f_many", "c;a", "c;a"),
        ("f_many", "a;a", "a"),
        ("email", "Ann@X.Example ", "ann@x.example"),
    ],
)
def test_a_value_is_kept_in_its_wire_form(fields, name, written, read):
    assert kept(fields, name, written) == read


@pytest.mark.parametrize(
    ("name", "written", "code"),
    [
        ("f_text", "x" * 65_537, "VALUE_TOO_LONG"),
        ("f_number", "many", "INVALID_INTEGER"),
        ("f_number", "NaN", "INVALID_INTEGER"),
        ("f_number", "1,5", "INVALID_INTEGER"),
        ("f_date", "29.02.2024", "INVALID_DATE"),
        ("f_date", "2024-02-30", "INVALID_DATE"),
        ("f_date", str(19_782 * DAY_MS + 1), "INVALID_DATE"),
        ("f_date", "2024-02-29T12:30:00Z", "INVALID_DATE"),
        ("f_moment", "noon", "INVALID_DATE"),
        ("f_bool", "yes", "INVALID_BOOLEAN"),
        ("f_pick", "A", "INVALID_OPTION"),  # the label, not the value
        ("f_pick", "a;b", "INVALID_OPTION"),
        ("f_many", "a;d", "INVALID_OPTION"),
        ("email", "not an address", "INVALID_EMAIL"),
        ("nope", "1", "PROPERTY_DOESNT_EXIST"),
        ("createdate", "2024-02-29T12:30:00Z", "READ_ONLY_VALUE"),
        ("lastmodifieddate", "2024-02-29T12:30:00Z", "READ_ONLY_VALUE"),
        ("hs_object_id", "1", "READ_ONLY_VALUE"),
        ("associatedcompanyid", "1", "READ_ONLY_VALUE"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(fields, name, written, code):
    refused = fields.create("contacts", {name: written})
    assert refused.status == 400
    assert refused.body["category"] == "VALIDATION_ERROR"
    (error,) = refused.body["errors"]
    assert error["code"] == code
    assert error["context"]["propertyName"] == [name]
    assert fields.page("contacts").results == []


def test_every_refused_value_of_a_record_is_named(fields):
    refused = fields.create("contacts", {"f_bool": "x", "nope": "1", "f_text": "fine"})
    names = [e["context"]["propertyName"] for e in refused.body["errors"]]
    assert sorted(names) == [["f_bool"], ["nope"]]
    assert refused.body["message"].startswith("Property values were not valid")


def test_an_unknown_property_is_ignored_in_reads_and_an_error_in_writes(api, control):
    made = api.create("contacts", {"email": "ann@x.example"}).ok(201)
    names = ["email", "nope"]
    control.settle()
    body = {"properties": names, "inputs": [{"id": made["id"]}]}
    for row in (
        api.read("contacts", made["id"], properties=names).ok(),
        *api.page("contacts", properties=names).results,
        *api.batch("contacts", "read", body).results,
        *api.search("contacts", {"properties": names}).results,
    ):
        assert "nope" not in row["properties"]
        assert row["properties"]["email"] == "ann@x.example"
    for refused in (
        api.create("contacts", {"nope": "1"}),
        api.update("contacts", made["id"], {"nope": "1"}),
    ):
        assert refused.status == 400
        assert refused.codes() == {"PROPERTY_DOESNT_EXIST"}


@pytest.mark.parametrize(
    ("stood", "written", "after"),
    [
        ("a", ";b", "a;b"),
        ("a;b", ";b;c", "a;b;c"),
        ("", ";b", "b"),
        ("a;b", "c", "c"),
        ("a;b", "", None),
    ],
)
def test_a_leading_semicolon_adds_to_checkboxes_and_none_overwrites(
    fields, stood, written, after
):
    one = fields.make("contacts", f_many=stood)
    fields.update("contacts", one, {"f_many": written}).ok()
    assert fields.shown("contacts", one, "f_many") == {"f_many": after}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("f_text", "x"),
        ("f_number", "0"),
        ("f_date", "2024-02-29"),
        ("f_moment", "2024-02-29T00:00:00Z"),
        ("f_bool", "false"),
        ("f_pick", "a"),
        ("f_many", "a"),
        ("f_key", "k"),
        ("email", "ann@x.example"),
    ],
)
def test_an_empty_text_clears_any_value(fields, name, value):
    one = fields.make("contacts", **{name: value})
    assert fields.shown("contacts", one, name)[name] is not None
    fields.update("contacts", one, {name: ""}).ok()
    assert fields.shown("contacts", one, name) == {name: None}


def test_a_property_that_a_write_does_not_name_stays(fields):
    one = fields.make("contacts", f_text="x", f_number="1")
    fields.update("contacts", one, {"f_number": "2"}).ok()
    assert fields.shown("contacts", one, "f_text") == {"f_text": "x"}


# Unique values


@pytest.mark.parametrize("mail", ["ann@x.example", "ANN@X.example", " ann@x.example "])
def test_an_email_is_unique_whatever_its_case(api, mail):
    held = api.create("contacts", {"email": "ann@x.example"}).ok(201)["id"]
    refused = api.create("contacts", {"email": mail})
    assert refused.status == 409
    assert refused.body["category"] == "CONFLICT"
    assert refused.body["message"] == f"Contact already exists. Existing ID: {held}"


def test_an_additional_email_is_as_unique_as_the_first(api):
    mails = {
        "email": "ann@x.example",
        "hs_additional_emails": "a@y.example;b@y.example",
    }
    ann = api.create("contacts", mails).ok(201)["id"]
    assert api.create("contacts", {"email": "B@y.example"}).status == 409
    bob = api.create("contacts", {"email": "bob@x.example"}).ok(201)["id"]
    assert api.update("contacts", bob, {"email": "a@y.example"}).status == 409
    more = {"hs_additional_emails": "ann@x.example"}
    assert api.update("contacts", bob, more).status == 409
    assert api.read("contacts", "b@y.example", idProperty="email").ok()["id"] == ann


def test_an_email_that_was_given_up_is_free_again(api):
    ann = api.create("contacts", {"email": "ann@x.example"}).ok(201)["id"]
    api.update("contacts", ann, {"email": "new@x.example"}).ok()
    assert api.create("contacts", {"email": "ann@x.example"}).status == 201


def test_a_contact_may_keep_its_own_email(api):
    ann = api.create("contacts", {"email": "ann@x.example"}).ok(201)["id"]
    changed = {"email": "Ann@x.example", "city": "Oslo"}
    assert api.update("contacts", ann, changed).status == 200


def test_two_companies_may_share_a_domain(api):
    for _ in range(2):
        assert api.create("companies", {"domain": "a.example"}).status == 201


def test_a_custom_unique_property_is_unique_and_names_itself(fields):
    held = fields.make("contacts", f_key="K1")
    refused = fields.create("contacts", {"f_key": "K1"})
    assert refused.status == 409
    assert refused.body["context"]["propertyName"] == ["f_key"]
    assert held in refused.body["message"]
    assert fields.create("contacts", {"f_key": "K2"}).status == 201
    read = fields.read("contacts", "K1", idProperty="f_key").ok()
    assert read["id"] == held


def test_a_batch_that_gives_two_records_one_email_is_refused(api):
    rows = [{"email": "ann@x.example"}, {"email": "ANN@x.example"}]
    assert api.batch("contacts", "create", inputs(rows)).status == 400
    assert api.page("contacts").results == []


def test_two_object_types_may_use_the_same_record_id(http):
    ids = [http.make("contacts"), http.make("companies", name="A")]
    assert ids[0] == ids[1], "ids are unique within a type only"
    assert http.read("contacts", ids[0], properties=["name"]).ok()["id"] == ids[0]


# Modified dates


def test_every_write_moves_the_modified_date_even_an_equal_one(http, control):
    """Two writes of one millisecond, or after a clock was put back, included."""
    one = http.make("contacts", city="Oslo")
    control.set_clock(-60)
    name = "lastmodifieddate"
    seen = [http.shown("contacts", one, name)[name]]
    for city in ("Bergen", "Bergen"):
        http.update("contacts", one, {"city": city}).ok()
        seen.append(http.shown("contacts", one, name)[name])
    assert seen == sorted(set(seen))
