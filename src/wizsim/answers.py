"""What the API answers to a document that may be asked: the data, the errors beside it, and which versions it showed."""

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from graphql import FieldNode, OperationDefinitionNode, OperationType, SelectionSetNode, execute_sync
from graphql.execution.values import VariableValues, get_argument_values

from wizsim.accounts import Account
from wizsim.faults import Fault
from wizsim.filters import Filtering, Test
from wizsim.listings import Cut, Listing, write_cursor
from wizsim.mischief import Mischief, twist_records
from wizsim.orders import order_of
from wizsim.plans import CONNECTIONS, Plan, RootField, coerce, operation_of, plan_of, read_document
from wizsim.refusals import Refusal, access_denied, bad_input, error, invalid
from wizsim.sdl import schema
from wizsim.tables import Version
from wizsim.world import World

Json = dict[str, Any]

SEVERITIES = ("critical", "high", "medium", "low", "informational")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What no public source settles about the API, or what differs between tenants."""

    after_inclusive: bool = False
    before_inclusive: bool = False
    tie_break: bool = False
    """Cursors name the records of their instant; without, ties at a page's edge are skipped."""
    page_cap: int = 500
    refuse_over_cap: bool = False
    """Refuse a larger `first` instead of clamping it."""
    page_default: int = 50
    max_count: int | None = 100_000
    """Where totalCount of findings stops and maxCountReached is set."""
    self_audit: bool = False
    """Logins and queries of collectors show up in the audit log."""


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
        data: Json = dict.fromkeys(plan.typenames, "Query")
        mischief = Mischief(question.faults)
        for root in plan.fields:
            data[root.key] = self._root(root, values, question, answer, mischief)
        if plan.introspects:
            data |= _introspect(question, plan.operation)
        body: Json = {"data": data}
        if answer.errors:
            body["errors"] = answer.errors
        answer.body = mischief.spoil(msgspec.json.encode(body))
        return answer

    def _root(
        self, root: RootField, values: VariableValues, question: Question, answer: Answer, mischief: Mischief
    ) -> Any:
        query = schema().query_type
        arguments = get_argument_values(query.fields[root.name], root.node, values) if query else {}
        if root.name not in CONNECTIONS:
            return self._single(root, arguments, question, answer)
        listing = self._listing(root, arguments, question, answer)
        size = self._size(root, arguments)
        cut, has_next, cursor = self._page(listing, size, arguments.get("after"), question.faults)
        versions = listing.records(cut)
        if question.faults:
            mischief.refuse(root, versions)
        connection = self._connection(root, listing, versions, cut, has_next=has_next, cursor=cursor)
        answer.shown.append((root.name, root.type, [(v.id, v.number) for v in versions], has_next))
        rendered = root.render(connection)
        if question.faults:
            answer.errors += twist_records(mischief, root, rendered, versions, question.request_id)
        for use in root.uses:
            if any(e["path"] == list(use.path) for e in answer.errors) and not use.nullable:
                _null_records(root, rendered)
        return rendered

    def _single(self, root: RootField, arguments: Json, question: Question, answer: Answer) -> Any:
        answer.repeatable = False
        version = self.world.tables[root.type].current.get(arguments["id"])
        if version is None or not _visible(question.account)(version):
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
            sort = order_of(root.type, order, shuffled=self.world.seed if shuffled else None, descending=descending)
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

    def _size(self, root: RootField, arguments: Json) -> int:
        first = arguments.get("first")
        if first is None:
            if root.type == "audit":
                raise bad_input("argument `first` is required")
            return self.behaviour.page_default
        if first < 1:
            raise bad_input("argument `first` must be positive")
        if first > self.behaviour.page_cap and self.behaviour.refuse_over_cap:
            raise bad_input(f"argument `first` must not exceed {self.behaviour.page_cap}")
        return int(min(first, self.behaviour.page_cap))

    def _page(
        self, listing: Listing, size: int, after: str | None, faults: Mapping[str, Fault]
    ) -> tuple[Cut, bool, str | None]:
        if after is not None and "cursor-forgotten" in faults:
            raise bad_input("cursor has expired")
        overlap = faults.get("overlap")
        early = 0 if overlap is None else min(size - 1, int(overlap.number("by", 3)))
        cut = listing.cut(size, after, repeated=early)
        has_next = cut.end < len(listing.entries)
        tie_break = self.behaviour.tie_break
        if "empty-page" in faults:
            self._marks += 1
            empty = Cut(start=cut.start, end=cut.start)
            return empty, True, listing.cursor(cut.start - 1, tie_break=tie_break, mark=self._marks)
        if has_next and "cursor-missing" in faults:
            return cut, True, None
        if has_next and "cursor-repeated" in faults and after is not None:
            return cut, True, after
        if has_next and "cursor-foreign" in faults:
            return cut, True, write_cursor([{"Field": "Elsewhere", "Value": "1"}])
        cursor = listing.cursor(cut.end - 1, tie_break=tie_break) if cut.end > cut.start else None
        return cut, has_next, cursor

    def _connection(  # noqa: PLR0913 - one place that fills the connection in
        self,
        root: RootField,
        listing: Listing,
        versions: list[Version],
        cut: Cut,
        *,
        has_next: bool,
        cursor: str | None,
    ) -> Json:
        wanted = root.wanted
        total = len(listing.entries)
        cap = self.behaviour.max_count if root.type == "findings" else None
        capped = cap is not None and total > cap
        connection: Json = {
            "pageInfo": {"endCursor": cursor, "hasNextPage": has_next},
            "totalCount": cap if capped else total,
            "maxCountReached": capped,
            "nodes": [v.full() for v in versions] if "nodes" in wanted else None,
        }
        if "edges" in wanted:
            tie_break = self.behaviour.tie_break
            cursors = (listing.cursor(at, tie_break=tie_break) for at in range(cut.start, cut.end))
            connection["edges"] = [{"cursor": c, "node": v.full()} for c, v in zip(cursors, versions, strict=True)]
        if any(name.endswith("SeverityCount") for name in wanted):
            severities = [v.get("severity") for v in listing.all()]
            connection |= {f"{s}SeverityCount": severities.count(s.upper()) for s in SEVERITIES}
        if "uniqueEntityCount" in wanted:
            connection["uniqueEntityCount"] = len({v.own["entitySnapshot"]["id"] for v in listing.all()})
        return connection

    def _refused_fields(self, plan: Plan, question: Question, answer: Answer) -> frozenset[str]:
        extra = {
            str(f.args.get("field")): (str(f.args.get("scope", "admin:all")),)
            for f in question.faults.values()
            if f.name == "refused-field"
        }
        account, held = question.account, question.account.held()
        nulled: set[str] = set()
        for root in plan.fields:
            for coordinate in (f"Query.{root.name}",):
                needed = account.lacks(coordinate, extra.get(coordinate))
                if needed is not None:
                    message = access_denied(list(needed), held)
                    raise Refusal(message, code="UNAUTHORIZED", path=[root.key])
            for use in root.uses:
                for coordinate in use.coordinates:
                    needed = account.lacks(coordinate, extra.get(coordinate))
                    if needed is not None:
                        nulled.add(coordinate)
                        said = access_denied(list(needed), held)
                        answer.errors.append(
                            error(said, code="UNAUTHORIZED", request_id=question.request_id, path=list(use.path))
                        )
        return frozenset(nulled)


def _check_hidden(fields: Mapping[str, str], types: frozenset[str], faults: Iterable[Fault]) -> None:
    for fault in faults:
        if fault.name != "hidden-field":
            continue
        hidden = str(fault.args.get("field"))
        if hidden in fields:
            raise invalid(f'Cannot query field "{fields[hidden]}" on type "{hidden.partition(".")[0]}".')
        if hidden in types:
            raise invalid(f'Unknown type "{hidden}".')


def _visible(account: Account) -> Test:
    projects = account.projects
    if not projects:
        return lambda _version: True
    return lambda version: any(p["id"] in projects for p in version.get("projects") or ())


def _both(one: Test, other: Test) -> Test:
    return lambda version: one(version) and other(version)


def _null_records(root: RootField, rendered: Json) -> None:
    """Null the list: a field that may not be null failed in its records, and the list may be null."""
    if len(root.records_path) > 1 and root.records_path[1] in rendered:
        rendered[root.records_path[1]] = None


def _introspect(question: Question, operation: OperationDefinitionNode) -> Json:
    asked = [
        node
        for node in operation.selection_set.selections
        if isinstance(node, FieldNode) and node.name.value in {"__schema", "__type"}
    ]
    document = read_document(question.document).ast
    alone = OperationDefinitionNode(
        operation=OperationType.QUERY,
        variable_definitions=operation.variable_definitions,
        directives=(),
        selection_set=SelectionSetNode(selections=tuple(asked)),
    )
    kept = tuple(d for d in document.definitions if not isinstance(d, OperationDefinitionNode))
    result = execute_sync(schema(), type(document)(definitions=(alone, *kept)), variable_values=question.variables)
    return getattr(result, "data", None) or {}
