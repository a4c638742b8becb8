// Connects mailboxes for which no owner signs in, and connects each of them again.
import { signIn, visit } from "./browser.mjs";
import { check, walk } from "./steps.mjs";

const { given, url, browser, page, step, button, dialog } = await walk();
const { shared, organisation } = given;
const choice = (name) => dialog().locator("label.choice", { has: page.locator("span", { hasText: new RegExp(`^${name}$`) }) }).locator("select");
const how = (way) => dialog().getByLabel("How").selectOption(way);
const connect = () => dialog().getByRole("button", { name: "Connect", exact: true }).click();
const fact = (name) => page.locator(".facts div", { has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) }).locator("dd");

async function begin(way) {
  await visit(page, url, "#/accounts");
  await button("Connect an account").click();
  await how(way);
}

async function reconnect(words) {
  await button("Disable").click();
  await page.locator(".title").getByText("disabled").waitFor();
  await button("Enable").click();
  await button("Reconnect").click();
  await dialog().getByText(words).waitFor();
  await connect();
  await dialog().getByText("is connected.").waitFor();
  await button("Close").click();
  await page.locator(".title").getByText("active", { exact: true }).waitFor();
}

await signIn(page, url, given.key);

await step("a shared mailbox that the person may not open is refused in the catalogue's words", async () => {
  await begin("shared");
  await choice("Person").selectOption(shared.person);
  await dialog().getByLabel("Address of the mailbox").fill(shared.closed);
  await connect();
  await dialog().getByRole("alert").getByText("SCOPE_NOT_GRANTED").waitFor();
  check((await dialog().getByRole("alert").locator("p").count()) === 2, "the remedy is missing");
  await button("Cancel").click();
});

await step("a shared mailbox is connected by the grant of the person who may open it", async () => {
  await begin("shared");
  await choice("Person").selectOption(shared.person);
  await dialog().getByLabel("Address of the mailbox").fill(shared.box);
  check((await dialog().getByRole("checkbox").count()) === 5, "abilities beyond mail are offered");
  await connect();
  await dialog().getByText("is connected.").waitFor();
  await page.getByRole("link", { name: "Show the account" }).click();
  await page.getByRole("heading", { name: shared.box }).waitFor();
  await fact("Access").getByText("shared: by the grant of").waitFor();
  await fact("Access").locator(`a[href$="${shared.person}"]`).waitFor();
});

await step("a shared mailbox is connected again without a sign-in", () => reconnect("with the grant of its person"));

await step("a shared mailbox is not offered as one who may open others", async () => {
  await begin("shared");
  await choice("Person").locator(`option[value="${shared.person}"]`).waitFor({ state: "attached" });
  check((await choice("Person").locator("option").count()) === 2, await choice("Person").innerText());
  await button("Cancel").click();
});

await step("an organisation at Google admits the app by delegation", async () => {
  await begin("organisation");
  await button("Admit another organisation").click();
  await choice("Provider").selectOption("googlews");
  await dialog().getByLabel("Administrator").fill(organisation.mailbox);
  await dialog().getByLabel("Mailboxes").fill(organisation.mailbox);
  await dialog().getByRole("button", { name: "Admit", exact: true }).click();
  await dialog().getByRole("alert").getByText("SCOPE_NOT_GRANTED").waitFor();
  await dialog().getByLabel("Administrator").fill(organisation.administrator);
  await dialog().getByRole("button", { name: "Admit", exact: true }).click();
  await dialog().getByText("The organisation has admitted the app.").waitFor();
  await button("Close").click();
});

await step("a mailbox of it is connected with the abilities that were granted", async () => {
  await begin("organisation");
  await choice("Organisation").locator("option", { hasText: organisation.administrator }).waitFor({ state: "attached" });
  await choice("Organisation").selectOption({ index: 1 });
  await choice("Mailbox").selectOption({ label: organisation.mailbox });
  await connect();
  await dialog().getByText("is connected.").waitFor();
  await page.getByRole("link", { name: "Show the account" }).click();
  await page.getByRole("heading", { name: organisation.mailbox }).waitFor();
  await fact("Access").getByText("by the app, which the organisation admits").waitFor();
  check((await fact("May").innerText()).includes("mail.read"), await fact("May").innerText());
});

await step("a mailbox of an organisation is connected again without a sign-in", () => reconnect("with the app's own token"));

await browser.close();
