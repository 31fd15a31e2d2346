-- Templates, rules and preferences as data; addresses beside the phone; attempts, digests, broadcasts, totals.
-- Breaking: an older server would send to a person's phone what is meant for another address of theirs, and would call them at night.

alter table mahalla.message
  drop constraint message_state_check,
  drop constraint message_tenant_id_event_id_principal_id_channel_key,
  -- Whose id `event_id` is.
  add column source text not null default 'event' check (source in ('event', 'digest', 'broadcast', 'test')),
  -- Of mahalla.notification_address; null for the phone of the account.
  add column address_id uuid,
  add column category text not null default 'cases',
  add column urgency text not null default 'normal' check (urgency in ('urgent', 'normal', 'digest')),
  add column subject text,
  add column html text,
  -- The message before it in an order of channels: this one waits until that one has failed, or has not arrived in time.
  add column after_id uuid,
  add column wait_seconds integer check (wait_seconds >= 0),
  add column attempts smallint not null default 0,
  -- A job is handing it over until then. The same job may begin again: its earlier try is dead.
  add column claimed_until timestamptz,
  add column claimed_by uuid,
  -- Not before this moment.
  add column send_at timestamptz,
  add column expires_at timestamptz,
  add column handed_at timestamptz,
  add column parts integer,
  add column cost bigint,
  add column currency text,
  -- `accepted`: handed over. `waiting`: for the message before it; `skipped`: that one arrived. `suppressed`: the person or a limit says no.
  add constraint message_state_check check (state in ('queued', 'waiting', 'accepted', 'refused', 'unknown', 'delivered', 'failed',
    'expired', 'skipped', 'cancelled', 'suppressed'));
-- However often an event is looked at, a person hears of it once at an address. A digest and a broadcast are events in this sense.
create unique index message_once on mahalla.message (tenant_id, event_id, principal_id, channel, address_id) nulls not distinct;
create index message_after on mahalla.message (tenant_id, after_id) where after_id is not null;
-- Receipts name a message without its tenant.
create index message_by_id on mahalla.message (id);
create index message_open on mahalla.message (tenant_id, event_id, id) where state in ('queued', 'unknown', 'waiting');
-- The daily limit of a person.
create index message_handed on mahalla.message (tenant_id, principal_id, handed_at) where handed_at is not null;

create table mahalla.message_attempt (
  tenant_id uuid not null,
  message_id uuid not null,
  attempt smallint not null check (attempt >= 1),
  -- `handing-over` without an end: the process ended meanwhile. `error`: surely nothing was handed over.
  state text not null check (state in ('handing-over', 'accepted', 'refused', 'unknown', 'error')),
  code text,
  detail text,
  began_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, message_id, attempt),
  foreign key (tenant_id, message_id) references mahalla.message (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.message_attempt', 'select, insert, update');

-- Sums that outlive the messages. Several rows of one kind, so that those who add do not wait for each other.
create table mahalla.message_total (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  -- A day of the tenant's calendar.
  day date not null,
  channel text not null,
  category text not null,
  -- Empty where the channel names no price.
  currency text not null,
  shard smallint not null,
  handed bigint not null default 0,
  delivered bigint not null default 0,
  failed bigint not null default 0,
  parts bigint not null default 0,
  cost bigint not null default 0,
  primary key (tenant_id, day, channel, category, currency, shard)
);
select mahalla.protect('mahalla.message_total', 'select, insert, update');

-- Only ever added to: the newest version counts, and one without texts is the built-in template again.
create table mahalla.notification_template (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  key text not null check (key ~ '^[a-z][a-z0-9-]{0,59}$'),
  -- A kind of channel, or `any`.
  channel text not null check (channel in ('any', 'sms', 'email', 'push', 'telegram', 'outbox')),
  version integer not null check (version >= 1),
  -- By language: subject, text, html.
  texts jsonb,
  changed_by uuid,
  changed_at timestamptz not null,
  primary key (tenant_id, key, channel, version)
);
select mahalla.protect('mahalla.notification_template', 'select, insert');

-- Without a definition: the built-in rule again, or none.
create table mahalla.notification_rule (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  key text not null check (key ~ '^[a-z][a-z0-9-]{0,59}$'),
  version integer not null check (version >= 1),
  definition jsonb,
  changed_by uuid,
  changed_at timestamptz not null,
  primary key (tenant_id, key)
);
select mahalla.protect('mahalla.notification_rule', 'select, insert, update');

create table mahalla.notification_preference (
  tenant_id uuid not null,
  principal_id uuid not null,
  version integer not null check (version >= 1),
  -- The tenant's quiet hours, own ones, or none.
  quiet text not null default 'tenant' check (quiet in ('tenant', 'own', 'none')),
  -- Minutes of the day in the tenant's time zone.
  quiet_from smallint check (quiet_from between 0 and 1439),
  quiet_until smallint check (quiet_until between 0 and 1439),
  digest text not null default 'immediately' check (digest in ('immediately', 'daily', 'weekly')),
  digest_hour smallint not null default 18 check (digest_hour between 0 and 23),
  -- ISO weekday of weekly ones, 1 is Monday.
  digest_day smallint not null default 5 check (digest_day between 1 and 7),
  -- Where the person lives: broadcasts to it and to what lies above it are for them.
  territory_id uuid,
  -- By category: {"channels": [...]} in the order of choice; an empty list is none at all.
  categories jsonb not null default '{}',
  changed_at timestamptz not null,
  primary key (tenant_id, principal_id),
  check (quiet <> 'own' or (quiet_from is not null and quiet_until is not null)),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
create index notification_preference_territory on mahalla.notification_preference (tenant_id, territory_id, principal_id)
  where territory_id is not null;
select mahalla.protect('mahalla.notification_preference', 'select, insert, update');

create table mahalla.notification_address (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  kind text not null check (kind in ('email', 'push', 'telegram')),
  -- Instance of the messenger that an address of push belongs to; null: any of its kind.
  channel text,
  -- A mailbox, a chat, or a push subscription with its keys.
  address_sealed text not null,
  address_index text not null,
  -- Null: not proved yet, and not used.
  verified_at timestamptz,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, principal_id, kind, address_index),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index notification_address_index on mahalla.notification_address (tenant_id, kind, address_index);
select mahalla.protect('mahalla.notification_address', 'select, insert, update, delete');

-- When somebody is to get a digest; a row only while there is news for one.
create table mahalla.digest_due (
  tenant_id uuid not null,
  principal_id uuid not null,
  due_at timestamptz not null,
  primary key (tenant_id, principal_id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index digest_due_at on mahalla.digest_due (tenant_id, due_at, principal_id);
select mahalla.protect('mahalla.digest_due', 'select, insert, update, delete');

create table mahalla.digest_item (
  tenant_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  event_id uuid not null,
  case_id uuid,
  category text not null,
  text text not null,
  -- The digest that it stood in; null while it waits for one.
  digest_id uuid,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, event_id, principal_id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index digest_item_waiting on mahalla.digest_item (tenant_id, principal_id, id) where digest_id is null;
select mahalla.protect('mahalla.digest_item', 'select, insert, update');

create table mahalla.broadcast (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  state text not null check (state in ('draft', 'approval', 'running', 'paused', 'done', 'cancelled')),
  -- This one and all below it; null: everybody.
  territory_id uuid,
  -- {"languages": [...], "role": "…", "optedIn": true}
  filters jsonb not null,
  category text not null,
  urgency text not null check (urgency in ('urgent', 'normal')),
  -- By language: subject, text, html; null: those of a template.
  texts jsonb,
  template text,
  -- Kinds of channel in the order of choice; null: as the person and the city have it.
  channels text[],
  expires_at timestamptz,
  -- Everybody up to this principal has a message.
  reached uuid,
  resolved boolean not null default false,
  -- People looked at, messages written, people whom nothing reaches.
  seen bigint not null default 0,
  queued bigint not null default 0,
  unreachable bigint not null default 0,
  -- Recipients as they were estimated when it was started.
  recipients bigint,
  created_by uuid not null,
  started_by uuid,
  approved_by uuid,
  version integer not null default 1,
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  primary key (tenant_id, id),
  check ((texts is null) <> (template is null)),
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
create index broadcast_running on mahalla.broadcast (tenant_id, started_at) where state = 'running';
select mahalla.protect('mahalla.broadcast', 'select, insert, update');
