"""What the API answers to a document: the data, the errors beside it, and which versions it showed."""

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from graphql.execution.values import VariableValues, get_argument_values

from wizsim.accounts import RESOURCE_FIELDS, Account
from wizsim.behaviour import Behaviour
from wizsim.documents import coerce, operation_of, read_document
from wizsim.faults import Fault
from wizsim.filters import Filtering, Test
from wizsim.introspection import introspect
from wizsim.listings import Listing
from wizsim.mischief import Mischief, twist_records, without_dates
from wizsim.orders import order_of
from wizsim.pages import connection_of, size_of, turn
from wizsim.plans import Plan, RootField, plan_of
from wizsim.refusals import Refusal, access_denied, error, invalid
from wizsim.sdl import schema
from wizsim.tables import Version
from wizsim.world import World

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Answer:
    """An answer to one document."""

    body: bytes = b""
    shown: list[tuple[str, str, list[tuple[str, int]], bool]] = field(default_factory=list)
    """(root, type, [(id, version)], has_next) of each connection or record."""
    listings: list[tuple[Listing, int]] = field(default_factory=list)
    """What it was made of, and at which revision."""
    repeatable: bool = True
    """The same question may get the same answer as long as its listings have not moved."""
    errors: list[Json] = field(default_factory=list)
    spoils: dict[str, Fault] = field(default_factory=dict)
    """What befalls it on the wire, because of what it shows."""

    def stands(self) -> bool:
        """Say whether the same question still gets this answer."""
        for listing, revision in self.listings:
            listing.catch_up()
            if listing.revision != revision:
                return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One document as it was sent."""

    document: str
    variables: Json
    operation: str | None
    account: Account
    request_id: str
    faults: Mapping[str, Fault] = field(default_factory=dict)


class Answering:
    """Answers documents about one world. Callers hold the world's lock."""

    KEPT_LISTINGS = 64

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self.world, self.behaviour = world, behaviour
        self._listings: OrderedDict[tuple[Any, ...], Listing] = OrderedDict()
        self._marks = 0

    def plan(self, question: Question) -> tuple[Plan, VariableValues]:
        """Read the document. Raises Refusal."""
        document = read_document(question.document)
        _check_hidden(document.fields_used, document.types_named, question.faults.values())
        values = coerce(operation_of(document, question.operation), question.variables)
        flags = tuple(sorted((n, bool(values.coerced.get(n))) for n in document.flag_names))
        return plan_of(question.document, question.operation, flags), values

    def answer(self, question: Question) -> Answer:
        """Answer a whole document. Raises Refusal where there is no data at all."""
        plan, values = self.plan(question)
        answer = Answer()
        nulled = self._refused_fields(plan, question, answer)
        if nulled:
            flags = tuple(sorted((n, bool(values.coerced.get(n))) for n in read_document(question.document).flag_names))
            plan = plan_of(question.document, question.operation, flags, nulled)
        data: Json = dict.fromkeys(plan.keys) | dict.fromkeys(plan.typenames, "Query")
        mischief = Mischief(question.faults)
        for root in plan.fields:
            if f"Query.{root.name}" not in nulled:
                data[root.key] = self._root(root, values, question, answer, mischief)
        if plan.introspection:
            data |= introspect(question.document, question.variables, plan.operation, plan.introspection)
        body: Json = {"data": data}
        if answer.errors:
            body["errors"] = answer.errors
        if mischief.completions:
            body["extensions"] = {"valueCompletion": mischief.completions}
        answer.body = mischief.spoil(msgspec.json.encode(body))
        answer.spoils = mischief.wire
        return answer

    def _root(
        self, root: RootField, values: VariableValues, question: Question, answer: Answer, mischief: Mischief
    ) -> Any:
        query = schema().query_type
        arguments = get_argument_values(query.fields[root.name], root.node, values) if query else {}
        if not root.paged:
            return self._single(root, arguments, question, answer)
        mischief.refuse_stretch(root, arguments.get("filterBy"), self.world.now())
        if "dates-ignored" in question.faults:
            arguments = {**arguments, "filterBy": without_dates(arguments.get("filterBy"))}
        listing = self._listing(root, arguments, question, answer)
        self._marks += 1
        page = turn(
            listing,
            size_of(root, arguments.get("first"), self.behaviour),
            arguments.get("after"),
            tie_break=self.behaviour.tie_break,
            faults=question.faults,
            mark=self._marks,
        )
        versions = page.versions
        mischief.refuse(root, versions)
        connection = connection_of(root, page, self.behaviour)
        versions = mischief.miscount(root, listing, connection, versions)
        rendered = root.render(connection)
        if question.faults:
            answer.errors += twist_records(mischief, root, rendered, versions, question.request_id)
        for use in root.uses:
            if any(e["path"] == list(use.path) for e in answer.errors) and not use.nullable:
                _null_records(root, rendered)
        shown = [(v.id, v.number) for v in _shown(root, rendered, versions)]
        answer.shown.append((root.name, root.type, shown, page.has_next))
        return rendered

    def _single(self, root: RootField, arguments: Json, question: Question, answer: Answer) -> Any:
        answer.repeatable = False
        version = self.world.tables[root.type].current.get(arguments["id"])
        if version is None or not _visible(question.account)(version):
            if root.name == "issue":
                said = "id must be a valid service issue id"
                answer.errors.append(
                    error(said, code="BAD_USER_INPUT", request_id=question.request_id, path=[root.key])
                )
            return None
        answer.shown.append((root.name, root.type, [(version.id, version.number)], False))
        return root.render(version.full())

    def _listing(self, root: RootField, arguments: Json, question: Question, answer: Answer) -> Listing:
        given, order = arguments.get("filterBy"), arguments.get("orderBy")
        shuffled, descending = "shuffled" in question.faults, "descending" in question.faults
        projects = question.account.projects
        key = (root.type, json.dumps([given, order], sort_keys=True), projects, shuffled, descending)
        listing = self._listings.get(key)
        if listing is None:
            rules = Filtering(
                after_inclusive=self.behaviour.after_inclusive, before_inclusive=self.behaviour.before_inclusive
            )
            test, moves = rules.compile(root.type, given, self.world.now())
            if projects:
                test = _both(test, _visible(question.account))
            sort = order_of(
                root.type,
                order,
                oldest_first=self.behaviour.oldest_first,
                shuffled=self.world.seed if shuffled else None,
                descending=descending,
            )
            listing = Listing(self.world.tables[root.type], test, sort)
            if moves:
                answer.repeatable = False
            else:
                self._listings[key] = listing
        else:
            self._listings.move_to_end(key)
            listing.catch_up()
        if len(self._listings) > self.KEPT_LISTINGS:
            self._listings.popitem(last=False)
        answer.listings.append((listing, listing.revision))
        return listing

    def _refused_fields(self, plan: Plan, question: Question, answer: Answer) -> frozenset[str]:
        extra = {
            str(f.args.get("field")): (str(f.args.get("scope", "admin:all")),)
            for f in question.faults.values()
            if f.name == "refused-field"
        }
        account, held = question.account, list(question.account.scopes)
        open_to_all = frozenset[str]() if self.behaviour.resources_scope else RESOURCE_FIELDS - extra.keys()
        nulled: set[str] = set()
        for root in plan.fields:
            coordinate = f"Query.{root.name}"
            needed = account.lacks(coordinate, extra.get(coordinate))
            if needed is not None:
                message = access_denied(list(needed), held)
                if root.paged:  # it may not be null, so there is no data at all
                    raise Refusal(message, code="UNAUTHORIZED", path=[root.key])
                nulled.add(coordinate)
                answer.errors.append(
                    error(message, code="UNAUTHORIZED", request_id=question.request_id, path=[root.key])
                )
                continue
            for use in root.uses:
                for coordinate in use.coordinates:
                    if coordinate in open_to_all:
                        continue
                    needed = account.lacks(coordinate, extra.get(coordinate))
                    if needed is not None:
                        nulled.add(coordinate)
                        said = access_denied(list(needed), held)
                        answer.errors.append(
                            error(said, code="UNAUTHORIZED", request_id=question.request_id, path=list(use.path))
                        )
        return frozenset(nulled)


def _check_hidden(fields: Mapping[str, str], types: frozenset[str], faults: Iterable[Fault]) -> None:
    wrongs = []
    for fault in faults:
        hidden = fault.args.get("field", "") if fault.name == "hidden-field" else ""
        if hidden in fields:
            wrongs.append(f'Cannot query field "{fields[hidden]}" on type "{hidden.partition(".")[0]}".')
        elif hidden in types:
            wrongs.append(f'Unknown type "{hidden}".')
    if wrongs:
        raise invalid(*wrongs)


def _visible(account: Account) -> Test:
    projects = account.projects
    if not projects:
        return lambda _version: True
    return lambda version: any(p["id"] in projects for p in version.get("projects") or ())


def _both(one: Test, other: Test) -> Test:
    return lambda version: one(version) and other(version)


def _shown(root: RootField, rendered: Json, versions: list[Version]) -> list[Version]:
    """Return those of `versions` that the answer really has: a list or an entry can be null, or not asked for."""
    listed = rendered.get(root.records_path[1]) if root.records_path else None
    if listed is None:
        return []
    return [version for version, entry in zip(versions, listed, strict=True) if entry is not None]


def _null_records(root: RootField, rendered: Json) -> None:
    """Null the list: a field that may not be null failed in its records, and the list may be null."""
    if len(root.records_path) > 1 and root.records_path[1] in rendered:
        rendered[root.records_path[1]] = None
