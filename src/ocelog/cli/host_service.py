"""`ocelog service`: run it as a service of systemd."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.maintenance.host_service import HOME, HostService, run_as_service
from ocelog.cli import show, typed
from ocelog.errors import ConfigError
from ocelog.installation import config

app = typer.Typer(help="Install, use and uninstall a service of systemd.", no_args_is_help=True, rich_markup_mode=None)
ForUser = Annotated[bool, typer.Option("--user", help="A service of your user, not of the machine.")]
Root = Annotated[
    Path, typer.Option("--root", metavar="DIR", help="Set up the machine whose / is in this folder, such as an image.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Also replace or remove units that were changed by hand; yours are kept as NAME.before."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do.")]


@app.command("install", short_help="Install `ocelog run` as a service of systemd.")
def install(
    *,
    user: ForUser = False,
    root: Root = Path("/"),
    backup: Annotated[
        Path | None, typer.Option("--backup", metavar="DIR", help="Also back up to this folder each night.")
    ] = None,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start it now. Default: yes.")] = True,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Install `ocelog run` as a service: its user, folders, key and units; then start it.

    A timer merges small files each week, and with --backup another one backs up each night. What is there already
    stays: the key, the data, and units that were changed by hand. Needs root, or --user.
    """
    if backup is not None and not backup.is_absolute():
        raise ConfigError(f"--backup {backup}: name the folder by its full path, such as /backup/ocelog.")
    service = HostService(
        root=root.absolute(),
        for_user=user,
        program=_program(),
        home=config.home_path() if user else HOME,
        backup=backup,
        force=force,
        dry_run=dry_run,
    )
    try:
        service.install(start=start)
    finally:
        _tell(service)
    _refuse_changed(service, service.typed("install", *([] if start else ["--no-start"]), "--force", backup=backup))
    for each in service.left_to_do:
        show.remark(f"To do: {each}")
    if not service.is_live:
        when = "when you log in next" if user else "when that machine starts"
        if dry_run:
            show.remark(f"systemd would not be told, since it does not run here: the service would start {when}.")
        else:
            show.remark(f"systemd was not told, since it does not run here: the service starts {when}.")
    prefix = "ocelog" if user else f"sudo {service.program_to_type} service exec"
    if service.root == Path("/") and not (service.is_live and start):
        show.paragraph(f"Next, make its home: {prefix} init")
    show.paragraph(f"{'On that machine' if service.root != Path('/') else 'Next'}, add a source: {prefix} source add")
    if user:
        show.paragraph("To keep it running while you are not logged in: loginctl enable-linger")


@app.command("uninstall")
def uninstall(*, user: ForUser = False, root: Root = Path("/"), force: Force = False, dry_run: DryRun = False) -> None:
    """Stop the service and delete its units. The data, the key and the user stay."""
    service = HostService(root=root.absolute(), for_user=user, program=_program(), force=force, dry_run=dry_run)
    try:
        service.uninstall()
    finally:
        _tell(service)
    _refuse_changed(service, service.typed("uninstall", "--force"))
    if not service.lines:
        show.paragraph("No service is installed.")
    elif not user:
        show.paragraph(f"The data is still in {HOME}, and the key in /etc/ocelog. Their user is still there, too.")


@app.command(
    "exec",
    short_help="Run a command of `ocelog` on the home of the service.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def exec_(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="Such as: source add, or status.")],
) -> None:
    """Run a command of `ocelog` as the service's user, on its home and with its key. Needs root."""
    program = _program()
    run_as_service(words, program, {typed.TYPED_AS: f"sudo {program} service exec"})


def _program() -> Path:
    """Return the path of `ocelog` beside this interpreter, which is what a service can call."""
    found = Path(sys.executable).with_name("ocelog")
    if not found.exists():
        raise ConfigError(f"There is no program `ocelog` next to {sys.executable}: install Ocelog in its own venv.")
    return found


def _tell(service: HostService) -> None:
    for line in service.lines:
        show.paragraph(f"Would do: {line}" if service.dry_run else line)


def _refuse_changed(service: HostService, command: str) -> None:
    if service.changed_by_hand:
        listed = ", ".join(map(str, service.changed_by_hand))
        raise ConfigError(
            f"Left as they are, since they were changed by hand: {listed}. Put changes of yours into a drop-in "
            f"(systemctl {'--user ' if service.for_user else ''}edit ocelog.service), then type: {command}"
        )
