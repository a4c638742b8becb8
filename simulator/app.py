"""The composition of the simulator."""

import os
import ssl
from pathlib import Path
from typing import Any

from simulator.accounts import Client
from simulator.control.actions import Actions
from simulator.control.app import control_app
from simulator.control.calendars import CalendarControl
from simulator.control.channels import ChannelControl
from simulator.control.mail import MailControl
from simulator.control.pulling import PullControl
from simulator.control.registrations import RegistrationControl
from simulator.control.scenario import Scenarios
from simulator.control.world import WorldControl
from simulator.directory import Directory
from simulator.edge import Edge
from simulator.google.accounts import ISSUER, GoogleAccounts
from simulator.google.batch import Batch as GmailBatch
from simulator.google.calendar_writes import CalendarWritesApi as GoogleCalendarWritesApi
from simulator.google.calendars import CalendarsApi as GoogleCalendarsApi
from simulator.google.channels import Channels
from simulator.google.directory_users import DirectoryUsers
from simulator.google.drafts import Drafts as GmailDrafts
from simulator.google.free_busy import FreeBusy
from simulator.google.gmail import COMMON_QUERY, GmailRules
from simulator.google.history import History
from simulator.google.iam_credentials import IamCredentials
from simulator.google.intake import Intake
from simulator.google.labels import Labels
from simulator.google.messages import Messages as GmailMessages
from simulator.google.metadata import MetadataServer
from simulator.google.pubsub import PubSub
from simulator.google.pulling import PullSubscription
from simulator.google.send_as import SendAs
from simulator.google.sending import Sender
from simulator.google.service_accounts import ServiceAccounts
from simulator.google.threads import Threads
from simulator.google.token import TokenEndpoint as GoogleTokens
from simulator.google.uploads import Uploads
from simulator.google.watch import Watches
from simulator.http import JSON, Operations
from simulator.keys import SigningKeys
from simulator.knobs import Knobs
from simulator.memory import Memory
from simulator.microsoft.admin_consent import AdminConsent
from simulator.microsoft.attachments import Attachments
from simulator.microsoft.batch import Batch as GraphBatch
from simulator.microsoft.calendar_notify import CalendarNotifier
from simulator.microsoft.calendar_writes import CalendarWritesApi
from simulator.microsoft.calendars import CalendarsApi
from simulator.microsoft.delta import Delta
from simulator.microsoft.devices import Devices
from simulator.microsoft.drafts import Drafts
from simulator.microsoft.folders import Folders
from simulator.microsoft.graph import BASE, GraphRules, People
from simulator.microsoft.login import Login
from simulator.microsoft.messages import Messages
from simulator.microsoft.notify import Notifier
from simulator.microsoft.registry import SubscriptionRegistry
from simulator.microsoft.replies import Replies
from simulator.microsoft.resource_data import ResourceData
from simulator.microsoft.schedules import Schedules
from simulator.microsoft.subscriptions import Subscriptions
from simulator.microsoft.token import TokenEndpoint as MicrosoftTokens
from simulator.microsoft.upload_sessions import UploadSessions
from simulator.model import NAME as MODEL_NAME
from simulator.model import PATH as MODEL_PATH
from simulator.model import SimulatedModel
from simulator.options import Options
from simulator.postman import Postman
from simulator.postoffice import PostOffice
from simulator.state import World


class Simulator:
    """Both providers and the control API, wired."""

    def __init__(self, options: Options) -> None:
        self._options = options
        tls = ssl.create_default_context(cafile=str(options.ca)) if options.ca else None
        self.world = world = World(knobs=Knobs(**options.settings), seed=options.seed, tls=tls)
        for provider, client in options.clients().items():
            world.clients[provider][client.client_id] = client
        public = Client(options.microsoft_public_client_id, "", is_public=True)
        world.clients["ms365"][public.client_id] = public
        self._keys = {"ms365": SigningKeys("ms"), "googlews": SigningKeys("google")}
        self.subscriptions = SubscriptionRegistry(world.clock)
        self._notifier = Notifier(world, self.subscriptions, ResourceData(world, self._keys["ms365"]))
        project = options.topic.split("/")[1]
        self._service_accounts = ServiceAccounts(world, project)
        pulled = PullSubscription(world, f"projects/{project}/subscriptions/gmail-pull", {options.consumer_account})
        self._pubsub = PubSub(
            world,
            self._keys["googlews"],
            pulled,
            endpoint=options.push_endpoint,
            audience=options.audience or options.push_endpoint,
            service_account=options.service_account,
            subscription=f"projects/{project}/subscriptions/gmail-push",
        )
        self.watches = Watches(world, self._pubsub, options.topic)
        self.channels = Channels(world)
        events = CalendarNotifier(self._notifier, self.subscriptions)
        self.directory = Directory(world, self._notifier, self.watches, events, self.channels)
        self.postman = Postman(world)
        self.post_office = PostOffice(world)
        self.model = SimulatedModel()
        self.microsoft, graph_rules, ms_tokens = self._build_microsoft()
        self.google, google_tokens = self._build_google()
        actions = Actions()
        pushing: dict[str, Any] = {
            "watches": self.watches,
            "subscriptions": self.subscriptions,
            "notifier": self._notifier,
        }
        MailControl(
            world, directory=self.directory, postman=self.postman, microsoft=ms_tokens, google=google_tokens, **pushing
        ).register(actions)
        WorldControl(world, pubsub=self._pubsub, keys=self._keys, graph=graph_rules, **pushing).register(actions)
        PullControl(self._pubsub, self._service_accounts, options.consumer_account).register(actions)
        CalendarControl(world).register(actions)
        ChannelControl(self.channels).register(actions)
        RegistrationControl(world).register(actions)
        self.model.register(actions)
        self.scenarios = Scenarios(actions)
        self.scenarios.register()
        actions.add("health", "GET", "/control/health", lambda _body: {"status": "SERVING"})
        actions.add("info", "GET", "/control/info", lambda _body: self.info)
        self.info: JSON = {}
        self.control = control_app(actions, [*self.model.routes, *MetadataServer(world, project).routes])

    def _build_microsoft(self) -> tuple[Edge, GraphRules, MicrosoftTokens]:
        world, operations = self.world, Operations()
        devices = Devices(world)
        rules, tokens = GraphRules(world), MicrosoftTokens(world, self._keys["ms365"], devices)
        edge = Edge(world, "ms365", operations, rules)
        subscriptions = Subscriptions(world, self.subscriptions)
        drafts = Drafts(world, self.post_office)
        attachments = Attachments(world, drafts)
        # Delta before messages: "delta" would else be taken for a message's id.
        for part in (Delta(world), Messages(world, drafts), attachments, Folders(world), People(world), subscriptions):
            part.register(operations)
        for other in (Replies(world, drafts), UploadSessions(world, attachments), tokens):
            other.register(operations)
        CalendarsApi(world).register(operations)
        CalendarWritesApi(world).register(operations)
        Schedules(world).register(operations)
        devices.register(operations)
        GraphBatch(edge.serve).register(operations)
        Login(world, self._keys["ms365"]).register(operations)
        AdminConsent(world).register(operations)
        return edge, rules, tokens

    def _build_google(self) -> tuple[Edge, GoogleTokens]:
        world, operations = self.world, Operations(COMMON_QUERY)
        tokens = GoogleTokens(world, self._keys["googlews"], self._service_accounts)
        edge = Edge(world, "googlews", operations, GmailRules(world))
        sender, intake = Sender(world, self.post_office), Intake(world)
        drafts = GmailDrafts(world, sender)
        for part in (intake, GmailMessages(world, sender), drafts, Labels(), Threads(world), SendAs()):
            part.register(operations)
        Uploads(world, sender, drafts, intake).register(operations)
        for other in (History(world), self.watches, GmailBatch(edge.serve), tokens):
            other.register(operations)
        # Channels before events: "watch" would else be taken for an event's id.
        self.channels.register(operations)
        self._pubsub.pulled.register(operations)
        GoogleCalendarsApi(world.clock).register(operations)
        GoogleCalendarWritesApi(world).register(operations)
        FreeBusy(world).register(operations)
        DirectoryUsers(world).register(operations)
        IamCredentials(world).register(operations)
        GoogleAccounts(world, self._keys["googlews"]).register(operations)
        return edge, tokens

    def memory(self, path: Path) -> Memory:
        """Return the store of the file."""
        return Memory(path, self.world, self.directory, self.subscriptions, self.watches)

    def populate(self) -> None:
        """Make the accounts of the command line, with their old mail, unless they are there already."""
        options = self._options
        for provider, address in options.accounts:
            if self.world.account(address, provider):
                continue
            account = self.directory.add("ms365" if provider == "ms365" else "googlews", address)
            if options.old_mails:
                self.postman.load(account, {"count": options.old_mails})
            if options.mail:
                own = options.mail / address
                self.postman.feed(account, own if own.is_dir() else options.mail)

    def describe(self, control_url: str) -> JSON:
        """Return the ready file's content: addresses, clients, accounts, and the settings that point services here."""
        world, options = self.world, self._options
        microsoft, google = world.microsoft_url, world.google_url
        self.info = {
            "pid": os.getpid(),
            "microsoftUrl": microsoft,
            "googleUrl": google,
            "controlUrl": control_url,
            "microsoftPublicClientId": options.microsoft_public_client_id,
            "accounts": [
                {
                    "provider": account.provider,
                    "address": account.address,
                    "id": account.id,
                    "directory": account.directory,
                }
                for accounts in world.accounts.values()
                for account in accounts
            ],
            "env": {
                "MAILMESH_MS365_AUTHORITY": f"{microsoft}/organizations",
                "MAILMESH_MS365_GRAPH_URL": f"{microsoft}{BASE}",
                "MAILMESH_MS365_CLIENT_ID": options.microsoft_client_id,
                "MAILMESH_MS365_CLIENT_SECRET": options.microsoft_secret,
                "MAILMESH_GOOGLEWS_AUTH_URL": f"{google}/o/oauth2/v2/auth",
                "MAILMESH_GOOGLEWS_TOKEN_URL": f"{google}/token",
                "MAILMESH_GOOGLEWS_REVOKE_URL": f"{google}/revoke",
                "MAILMESH_GOOGLEWS_CERTS_URL": f"{google}/oauth2/v3/certs",
                "MAILMESH_GOOGLEWS_USERINFO_URL": f"{google}/v1/userinfo",
                "MAILMESH_GOOGLEWS_GMAIL_URL": f"{google}/gmail/v1",
                "MAILMESH_GOOGLEWS_CALENDAR_URL": f"{google}/calendar/v3",
                "MAILMESH_GOOGLEWS_DIRECTORY_URL": f"{google}/admin/directory/v1",
                "MAILMESH_GOOGLEWS_IAM_CREDENTIALS_URL": f"{google}/v1",
                "MAILMESH_GOOGLEWS_CLIENT_ID": options.google_client_id,
                "MAILMESH_GOOGLEWS_CLIENT_SECRET": options.google_secret,
                "MAILMESH_GOOGLEWS_ISSUER": ISSUER,
                "MAILMESH_GOOGLEWS_PUBSUB_URL": f"{google}/v1",
                "MAILMESH_GOOGLEWS_PUBSUB_TOPIC": options.topic,
                "MAILMESH_GOOGLEWS_PUBSUB_AUDIENCE": self._pubsub.audience,
                "MAILMESH_GOOGLEWS_PUBSUB_SERVICE_ACCOUNT": options.service_account,
                "MAILMESH_PROCESSOR_MODEL_URL": f"{control_url}{MODEL_PATH}",
                "MAILMESH_PROCESSOR_MODEL_NAME": MODEL_NAME,
                **({"MAILMESH_PROVIDER_CA": str(options.ca.resolve())} if options.ca else {}),
            },
        }
        return self.info
