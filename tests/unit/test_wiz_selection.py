import subprocess
import sys
from typing import Any

import pytest
from graphql import parse

from ocelog.errors import AccessRefusedError, ContractBrokenError
from ocelog.sources.wiz.envelope import GraphError
from ocelog.sources.wiz.selection import Selection, record_paths, without
from ocelog.sources.wiz.streams import ROOTS, Root

AUDIT, ISSUES, FINDINGS = (ROOTS[name] for name in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"))


def _without(root: Root, *messages: str, **more: Any) -> Selection:
    return without(Selection(text=root.document()), [GraphError(message=message, **more) for message in messages], root)


@pytest.mark.parametrize(
    ("root", "message", "refused"),
    [
        (AUDIT, 'Cannot query field "performer" on type "AuditLogEntry". Did you mean "user"?', {"performer"}),
        (ISSUES, "Cannot query field 'dueAt' on type 'Issue'.", {"dueAt"}),
        (ISSUES, 'Cannot query field "name" on type "Project".', {"projects.name"}),
        (ISSUES, 'Cannot query field "name" on type "IssueEntitySnapshot".', {"entitySnapshot.name"}),
        (ISSUES, 'Cannot query field "name" on type "SecurityFramework".',
         {"sourceRule.securitySubCategories.category.framework"}),
        (ISSUES, 'Cannot query field "description" on type "Control".', {"sourceRule.controlDescription"}),
        (ISSUES, 'Cannot query field "email" on type "User".',
         {"notes.user.email", "projects.projectOwners.email", "resolvedBy.user.email"}),
        (ISSUES, 'Cannot query field "projectOwners" on type "Project".', {"projects.projectOwners"}),
        (ISSUES, 'Cannot query field "assignee" on type "Issue".', {"assignee"}),
        (ISSUES, 'Cannot query field "type" on type "IssueResolver".', {"resolvedBy.type"}),
        (FINDINGS, 'Cannot query field "cisaKevDueDate" on type "VulnerabilityFinding".', {"cisaKevDueDate"}),
        (ISSUES, 'Cannot query field "businessImpact" on type "ProjectRiskProfile".', {"projects.riskProfile"}),
        (ISSUES, 'Field "tags" of type "TagMap!" must have a selection of subfields.', {"entitySnapshot.tags"}),
        (ISSUES, 'Field "notes" must not have a selection since type "String" has no subfields.', {"notes"}),
        (FINDINGS, 'Cannot query field "ipAddresses" on type "VulnerableAssetVirtualMachine".',
         {"vulnerableAsset.ipAddresses"}),
        (FINDINGS, 'Unknown type "VulnerableAssetVirtualMachine".', {"vulnerableAsset.ipAddresses"}),
        (FINDINGS, ('Fragment cannot be spread here as objects of type "VulnerableAsset" can never be of type '
                    '"VulnerableAssetDevice".'), set()),
        (FINDINGS, 'Cannot query field "maxCountReached" on type "VulnerabilityFindingConnection".', set()),
    ],
)  # fmt: skip
def test_what_the_api_does_not_know_is_left_out_and_nothing_else(root: Root, message: str, refused: set[str]) -> None:
    errors = [GraphError(message=message, locations=_place(root, message))]
    for given in (errors, [GraphError(message=message)]):
        if "maxCountReached" in message and given != errors:
            continue
        selection = without(Selection(text=root.document()), given, root)
        assert selection.refused == refused
        lost = record_paths(root.document(), root) - record_paths(selection.text, root)
        assert all(any(path == top or path.startswith(f"{top}.") for top in refused) for path in lost)
        parse(selection.text)


def _place(root: Root, message: str) -> tuple[tuple[int, int], ...]:
    if "maxCountReached" not in message:
        return ()
    lines = root.document().splitlines()
    at = next(number for number, line in enumerate(lines) if "maxCountReached" in line)
    return ((at + 1, lines[at].index("max") + 1),)


def test_the_place_in_the_query_decides_between_fields_of_one_name() -> None:
    lines = ISSUES.document().splitlines()
    at = next(number for number, line in enumerate(lines) if line == "        createdAt")
    error = GraphError(message='Cannot query field "createdAt" on type "X".', locations=((at + 1, 9),))
    assert without(Selection(text=ISSUES.document()), [error], ISSUES).refused <= {
        "entitySnapshot.createdAt",
        "notes.createdAt",
    }


def test_a_field_closed_to_this_account_is_found_by_its_path() -> None:
    for path in (("issuesV2", "nodes", "@", "notes", "@", "user"), ("issuesV2", "nodes", 3, "notes", 0, "user")):
        assert _without(ISSUES, "access denied", path=path).refused == {"notes.user"}


def test_refusals_add_up_until_nothing_of_an_object_is_left() -> None:
    selection = Selection(text=FINDINGS.document())
    for type_ in ("VulnerableAssetDevice", "VulnerableAssetVirtualMachine", "VulnerableAssetBase"):
        selection = without(selection, [GraphError(message=f'Unknown type "{type_}".')], FINDINGS)
    assert selection.refused == {"vulnerableAsset"}
    assert "vulnerableAsset" not in selection.text


@pytest.mark.parametrize("root", ROOTS.values(), ids=lambda root: root.short)
def test_without_what_places_a_record_there_is_nothing_to_read(root: Root) -> None:
    fields = [name for name in root.essential if name in record_paths(root.document(), root)]
    assert {"id", "status", root.kind.cursor_field} <= set(fields)
    for name in fields:
        with pytest.raises(AccessRefusedError, match=rf"`{name}`.*{root.scope}"):
            _without(root, f'Cannot query field "{name}" on type "{root.record_type}".')


def test_fields_of_the_same_name_deeper_down_can_be_lived_without() -> None:
    assert _without(ISSUES, 'Cannot query field "status" on type "IssueEntitySnapshot".').refused == {
        "entitySnapshot.status"
    }


@pytest.mark.parametrize(
    "message",
    [
        'Cannot query field "nonsense" on type "Issue".',
        'Unknown type "Nonsense".',
        'Unknown argument "x"',
    ],
)
def test_a_refusal_of_something_that_was_not_asked_for_is_told_and_not_guessed_at(message: str) -> None:
    with pytest.raises(ContractBrokenError, match="not asked for"):
        _without(ISSUES, message)


def test_an_api_without_the_root_or_its_paging_cannot_be_read() -> None:
    for path in (("issuesV2", "pageInfo"), ("issuesV2",), ("issuesV2", "nodes")):
        with pytest.raises(ContractBrokenError):
            _without(ISSUES, "access denied", path=path)


def test_a_tenant_that_refuses_nothing_never_loads_the_graphql_library() -> None:
    code = "import ocelog.sources.wiz.source, sys; sys.exit('graphql' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
