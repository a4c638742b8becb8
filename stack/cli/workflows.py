"""`mailmesh workflows`: runs of the operator's workflows, and answers to their questions."""

from typing import Annotated

import typer

from mailmesh.workflow.v1 import workflow_service_pb2 as messages
from mailmesh.workflow.v1 import workflow_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import (
    JsonOption,
    LimitOption,
    enum_value,
    pages,
    print_json,
    print_record,
    print_table,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="Start and follow runs of workflows, and answer their questions.")
STATE = "WORKFLOW_RUN_STATE_"
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run; `workflows list` shows it.")]


@app.command()
def start(
    context: typer.Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow in the settings.")],
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event; `events list` shows it.")],
    *,
    json: JsonOption = False,
) -> None:
    """Start the run of a workflow for an event, or show the run that it has.

    Examples:
      mailmesh workflows start triage 019a9f0e-7c1e-7000-8000-00000000000c
    """
    with channel(context) as opened:
        request = messages.StartWorkflowRequest(workflow=workflow, event_id=event_id)
        _show(services.WorkflowServiceStub(opened).StartWorkflow(request).run, json=json)


@app.command("list")
def list_runs(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="List only runs of this tenant.")] = "",
    workflow: Annotated[str, typer.Option(help="List only runs of this workflow.")] = "",
    state: Annotated[
        str, typer.Option(metavar="STATE", help="List only runs in this state: waiting, failed, ...")
    ] = "",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List runs, newest first. With --state waiting: those that wait for a person.

    Examples:
      mailmesh workflows list --state waiting
    """
    wanted = enum_value(messages.WorkflowRunState, STATE, state) if state else messages.WORKFLOW_RUN_STATE_UNSPECIFIED
    with channel(context) as opened:
        stub = services.WorkflowServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.WorkflowRun], str]:
            request = messages.ListWorkflowRunsRequest(
                page_size=size, page_token=token, tenant_id=tenant, workflow=workflow, state=wanted
            )
            answer = stub.ListWorkflowRuns(request)
            return list(answer.runs), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("RUN", "WORKFLOW", "STATE", "REASON", "CREATED", "EVENT"),
        [(one.run_id, one.workflow, _state(one), one.reason, when(one.created_at), one.event_id) for one in found],
        "There are no runs.",
    )


@app.command()
def get(context: typer.Context, run_id: RunArgument, *, json: JsonOption = False) -> None:
    """Show a run, with its question if it waits for a person.

    Examples:
      mailmesh workflows get 019a9f0e-7c1e-7000-8000-00000000000d
    """
    with channel(context) as opened:
        request = messages.GetWorkflowRunRequest(run_id=run_id)
        _show(services.WorkflowServiceStub(opened).GetWorkflowRun(request).run, json=json)


@app.command()
def resume(
    context: typer.Context,
    run_id: RunArgument,
    question_id: Annotated[
        str, typer.Argument(metavar="QUESTION", help="Id of the question that is answered; `workflows get` shows it.")
    ],
    answer: Annotated[str, typer.Argument(metavar="ANSWER", help="The answer as JSON.")],
    *,
    json: JsonOption = False,
) -> None:
    """Answer the question of a run that waits, and continue it.

    Examples:
      mailmesh workflows resume 019a9f0e-7c1e-7000-8000-00000000000d f008649e96679d02c6e551bcd2516db1 '{"send": true}'
    """
    with channel(context) as opened:
        request = messages.ResumeWorkflowRequest(run_id=run_id, question_id=question_id, answer=answer)
        _show(services.WorkflowServiceStub(opened).ResumeWorkflow(request).run, json=json)


@app.command()
def cancel(context: typer.Context, run_id: RunArgument, *, json: JsonOption = False) -> None:
    """End a run. Commands that its steps have committed are not undone.

    Examples:
      mailmesh workflows cancel 019a9f0e-7c1e-7000-8000-00000000000d
    """
    with channel(context) as opened:
        request = messages.CancelWorkflowRunRequest(run_id=run_id)
        _show(services.WorkflowServiceStub(opened).CancelWorkflowRun(request).run, json=json)


def _show(run: messages.WorkflowRun, *, json: bool) -> None:
    if json:
        print_json(run)
        return
    print_record(
        [
            ("run", run.run_id),
            ("workflow", run.workflow),
            ("tenant", run.tenant_id),
            ("event", run.event_id),
            ("state", _state(run)),
            ("reason", f"{run.reason} {run.detail}".strip()),
            ("question", run.question),
            ("question id", run.question_id),
            ("created", when(run.created_at)),
            ("deadline", when(run.deadline_at)),
            ("finished", when(run.finished_at)),
        ]
    )


def _state(run: messages.WorkflowRun) -> str:
    return word(messages.WorkflowRunState.Name(run.state), STATE)
