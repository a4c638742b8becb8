// Runs of the operator's workflows: those that wait for a person first, and the answers to their questions.
import { useState, type FormEvent } from "react";
import { useQuery } from "@tanstack/react-query";
import { type WorkflowRun, WorkflowRunState, WorkflowService } from "../../../gen/ts/mailmesh/workflow/v1/workflow_service_pb.js";
import { workflows } from "../api.js";
import { Account } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { Area, Button, Confirm, FilterChoice, FilterField, useChange } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { Failed, Facts, Id, Outside, Reason, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { enumWord, plain } from "../text.js";

const STATES = Object.values(WorkflowRunState).filter((value): value is WorkflowRunState => typeof value === "number" && value > 0);
const ENDED = [WorkflowRunState.SUCCEEDED, WorkflowRunState.FAILED, WorkflowRunState.CANCELLED];
const MOST = 16_384;

interface Chosen {
  state: WorkflowRunState;
  tenantId: string;
  workflow: string;
}

export function WorkflowsPage() {
  const { query } = useRoute();
  const state = Number(query.get("state") ?? 0) as WorkflowRunState;
  const chosen = { state, tenantId: query.get("tenant") ?? "", workflow: query.get("workflow") ?? "" };
  return (
    <>
      <h1>Workflows</h1>
      <div className="filters">
        <FilterChoice name="state" label="State" options={STATES.map((value) => [String(value), enumWord(WorkflowRunState, value)])} />
        <FilterField name="workflow" label="Workflow" hint="triage" />
        <FilterField name="tenant" label="Tenant" hint="its id" />
        <AsCall method={WorkflowService.method.listWorkflowRuns} request={chosen} />
      </div>
      {!state && <Runs label="Runs that wait for a person" chosen={{ ...chosen, state: WorkflowRunState.WAITING }} isQuiet />}
      <Runs label="Runs" chosen={chosen} />
    </>
  );
}

function Runs({ label, chosen, isQuiet = false }: { label: string; chosen: Chosen; isQuiet?: boolean }) {
  const pages = usePages(["runs", chosen], async (pageToken) => {
    const page = await workflows.listWorkflowRuns({ ...chosen, pageToken });
    return { items: page.runs, next: page.nextPageToken };
  }, 10_000);
  if (isQuiet && pages.isSuccess && pages.items.length === 0) return null;
  const isFiltered = chosen.state !== WorkflowRunState.UNSPECIFIED || chosen.tenantId !== "" || chosen.workflow !== "";
  return (
    <section aria-label={label}>
      <h2>{label}</h2>
      <List
        label={label} pages={pages} columns={["Started", "Workflow", "State", "Account", "Event"]}
        empty={isFiltered ? <p>No run fits these filters. <a href={href(["workflows"])}>Show all</a></p>
          : <p>No workflow has run yet. <code>MAILMESH_WORKFLOWS_GRAPHS</code> names the graphs, and <code>MAILMESH_WORKFLOWS_STARTS</code> the events that start them.</p>}
        row={(run) => ({
          key: run.runId,
          cells: [
            <Time at={run.createdAt} />, <a href={href(["workflows", run.runId])}><Outside text={run.workflow} most={80} /></a>, <Standing run={run} />,
            <Account id={run.tenantId} />, <a href={href(["events", run.eventId])}>Event<span className="unseen"> {run.eventId}</span></a>,
          ],
        })}
      />
    </section>
  );
}

function Standing({ run }: { run: WorkflowRun }) {
  return <><State word={enumWord(WorkflowRunState, run.state)} /> <Reason reason={run.reason} detail={run.detail} /></>;
}

export function WorkflowPage({ id }: { id: string }) {
  const query = useQuery({ queryKey: ["run", id], queryFn: async () => (await workflows.getWorkflowRun({ runId: id })).run, refetchInterval: 2_000 });
  if (query.isError) return <><h1>Run of a workflow</h1><Failed error={query.error} retry={() => void query.refetch()} /></>;
  const run = query.data;
  if (!run) return <p role="status">Reading…</p>;
  return (
    <>
      <p><a href={href(["workflows"])}>Workflows</a></p>
      <div className="title"><h1><Outside text={run.workflow} most={80} /></h1><Standing run={run} /></div>
      {!ENDED.includes(run.state) && (
        <div className="buttons left">
          <Confirm button="Cancel the run" title="Cancel this run?" call={() => workflows.cancelWorkflowRun({ runId: id })}>
            <p>It runs no further step. What its steps did so far is not undone.</p>
          </Confirm>
        </div>
      )}
      <Facts rows={[
        ["Run", <Id value={id} />], ["Account", <Account id={run.tenantId} />], ["Event", <a href={href(["events", run.eventId])}><Id value={run.eventId} /></a>],
        ["Attempts since the last step", String(run.attempts)], ["Started", <Time at={run.createdAt} />], ["Last change", <Time at={run.updatedAt} />],
        ["Ends without an answer", <Time at={run.deadlineAt} />], ["Ended", <Time at={run.finishedAt} />],
      ]} />
      <AsCall method={WorkflowService.method.getWorkflowRun} request={{ runId: id }} />
      {run.state === WorkflowRunState.WAITING && <Question key={run.questionId} run={run} />}
    </>
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function pretty(json: string): string {
  return isJson(json) ? JSON.stringify(JSON.parse(json), undefined, 2) : json;
}

// A workflow asks in JSON and takes its answer in JSON; a plain sentence is sent as a text.
function Question({ run }: { run: WorkflowRun }) {
  const [answer, setAnswer] = useState("");
  const resume = useChange(() => workflows.resumeWorkflow({
    runId: run.runId, questionId: run.questionId, answer: isJson(answer) ? answer : JSON.stringify(answer),
  }));
  const submit = (event: FormEvent) => { event.preventDefault(); resume.mutate(); };
  return (
    <section aria-label="Question">
      <h2>The workflow asks</h2>
      <pre tabIndex={0} aria-label="Question of the workflow">{plain(pretty(run.question), MOST)}</pre>
      <form onSubmit={submit} className="answer">
        <Area label="Answer" value={answer} set={setAnswer} hint='JSON, such as true or {"text": "..."}; other words are sent as a text' />
        {resume.isError && <Failed error={resume.error} />}
        <Button className="primary" type="submit" isDisabled={resume.isPending || answer.trim() === ""}>Answer and continue</Button>
      </form>
    </section>
  );
}
