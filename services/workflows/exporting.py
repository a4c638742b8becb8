"""How the rows of a tenant's runs are written in an export: questions and answers are opened."""

import asyncpg

from mailmesh.processor.v1.event_pb2 import WorkflowEvent
from services.meshkit.exporting import Export, Form, Written
from services.meshkit.exporting_forms import bytes_json, form, word
from services.workflows.engine.attempt import ANSWER, QUESTION
from services.workflows.migrate import SCHEMA
from services.workflows.sealing import Cipher
from services.workflows.store.rows import State

_WORKING = {"sealed": "the working state of a run, which ends with the run"}


def export_of(cipher: Cipher) -> Export:
    """Return the particulars of the export.

    Args:
        cipher: Opens what runs have sealed. Its failures, `KeyUnavailable` and `SealBroken`, are those of a page.
    """

    def run(row: asyncpg.Record) -> Written:
        owner = (str(row["tenant_id"]), str(row["run_id"]))
        return {
            "state": word(State, row["state"]),
            **{
                name: None
                if row[f"sealed_{name}"] is None
                else bytes_json(cipher.open(row[f"sealed_{name}"], *owner, name, row["question_id"]))
                for name in (QUESTION, ANSWER)
            },
        }

    return Export(
        "workflows",
        SCHEMA.head,
        {
            "checkpoints": form(left_out=_WORKING),
            "notices": form({"content": WorkflowEvent}),
            "runs": Form(("state", "sealed_question", "sealed_answer"), run),
            "writes": form(left_out=_WORKING),
        },
    )
