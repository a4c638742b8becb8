// Controls, which are those of react-aria-components: by mouse, touch and keyboard, with names for screen readers.
import { useState, type ReactNode } from "react";
import { Button, Checkbox, CheckboxGroup, Dialog, DialogTrigger, Heading, Input, Label, Modal, ModalOverlay, TextArea, TextField } from "react-aria-components";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useFilter } from "../route.js";
import { Failed } from "./show.js";

export { Button };

export function Field({ label, value, set, type = "text", hint, isRequired = false, autoFocus = false }: {
  label: string; value: string; set: (value: string) => void; type?: string; hint?: string; isRequired?: boolean; autoFocus?: boolean;
}) {
  return (
    <TextField value={value} onChange={set} type={type} isRequired={isRequired} autoFocus={autoFocus} autoComplete="off">
      <Label>{label}</Label>
      <Input spellCheck="false" placeholder={hint ?? ""} />
    </TextField>
  );
}

// A file whose text goes into a form. The page keeps it no longer than the form.
export function FileField({ label, set, mostBytes }: { label: string; set: (text: string) => void; mostBytes: number }) {
  const [fault, setFault] = useState("");
  const read = async (file: File | undefined) => {
    const isLarge = (file?.size ?? 0) > mostBytes;
    setFault(isLarge ? `The file is larger than ${mostBytes / 1024} KiB.` : "");
    set(file && !isLarge ? await file.text() : "");
  };
  return (
    <label className="choice">
      <span>{label}</span>
      <input type="file" onChange={(event) => void read(event.target.files?.[0])} />
      {fault && <span role="alert" className="failed">{fault}</span>}
    </label>
  );
}

export function Area({ label, value, set, hint }: { label: string; value: string; set: (value: string) => void; hint?: string }) {
  return (
    <TextField value={value} onChange={set}>
      <Label>{label}</Label>
      <TextArea rows={4} spellCheck="false" placeholder={hint ?? ""} />
    </TextField>
  );
}

export function Choice({ label, value, set, options }: { label: string; value: string; set: (value: string) => void; options: [string, string][] }) {
  return (
    <label className="choice">
      <span>{label}</span>
      <select value={value} onChange={(event) => set(event.target.value)}>
        {options.map(([key, name]) => <option key={key} value={key}>{name}</option>)}
      </select>
    </label>
  );
}

export function Checks({ label, value, set, options }: { label: string; value: string[]; set: (value: string[]) => void; options: string[] }) {
  return (
    <CheckboxGroup value={value} onChange={set}>
      <Label>{label}</Label>
      {options.map((option) => (
        <Checkbox key={option} value={option}><span className="box" aria-hidden="true" />{option}</Checkbox>
      ))}
    </CheckboxGroup>
  );
}

// A filter of a list that stands in the address.
export function FilterField({ name, label, hint }: { name: string; label: string; hint?: string }) {
  const [value, set] = useFilter(name);
  return <Field label={label} value={value} set={set} {...(hint ? { hint } : {})} />;
}

export function FilterChoice({ name, label, options, usual = "all" }: { name: string; label: string; options: [string, string][]; usual?: string }) {
  const [value, set] = useFilter(name);
  return <Choice label={label} value={value} set={set} options={[["", usual], ...options]} />;
}

export function Popup({ button, title, isDanger = false, children }: {
  button: string; title: string; isDanger?: boolean; children: (close: () => void) => ReactNode;
}) {
  return (
    <DialogTrigger>
      <Button className={isDanger ? "danger" : "plain"}>{button}</Button>
      <ModalOverlay className="overlay" isDismissable>
        <Modal className="modal">
          <Dialog>
            {({ close }) => <><Heading slot="title">{title}</Heading>{children(close)}</>}
          </Dialog>
        </Modal>
      </ModalOverlay>
    </DialogTrigger>
  );
}

// One call that changes something; all lists are read again behind it.
export function useChange<Result>(call: () => Promise<Result>, done?: (result: Result) => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: call,
    onSuccess: async (result) => {
      await client.invalidateQueries();
      done?.(result);
    },
  });
}

export function Act({ name, call, isDanger = false }: { name: string; call: () => Promise<unknown>; isDanger?: boolean }) {
  const change = useChange(call);
  return (
    <>
      <Button className={isDanger ? "danger" : "plain"} isDisabled={change.isPending} onPress={() => change.mutate()}>{name}</Button>
      {change.isError && <Failed error={change.error} />}
    </>
  );
}

// Asks before something that cannot be undone, in words that say what it does.
export function Confirm({ button, title, call, done, children }: {
  button: string; title: string; call: () => Promise<unknown>; done?: () => void; children: ReactNode;
}) {
  return (
    <Popup button={button} title={title} isDanger>
      {(close) => <Sure button={button} call={call} done={() => { close(); done?.(); }} close={close}>{children}</Sure>}
    </Popup>
  );
}

function Sure({ button, call, done, close, children }: {
  button: string; call: () => Promise<unknown>; done: () => void; close: () => void; children: ReactNode;
}) {
  const change = useChange(call, done);
  return (
    <>
      {children}
      {change.isError && <Failed error={change.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close} autoFocus>Cancel</Button>
        <Button className="danger" isDisabled={change.isPending} onPress={() => change.mutate()}>{button}</Button>
      </div>
    </>
  );
}

export function Copy({ text, name }: { text: string; name: string }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return <Button className="plain" onPress={() => void copy()}>{isDone ? "Copied" : name}</Button>;
}

// A secret that is shown this once.
export function Once({ label, secret, close }: { label: string; secret: string; close: () => void }) {
  return (
    <>
      <p>{label} is shown this once. Keep it now; nobody can show it again.</p>
      <p><code className="secret" data-testid="secret">{secret}</code></p>
      <div className="buttons"><Copy text={secret} name="Copy" /><Button className="primary" onPress={close}>Done</Button></div>
    </>
  );
}
