-- Addresses of apps and of the city's own people to which events are posted, and what became of every post.

create table mahalla.webhook_endpoint (
  tenant_id uuid not null,
  id uuid not null,
  -- An app, or somebody of the city: what they may hear of is what is sent.
  principal_id uuid not null,
  url text not null,
  description text not null,
  -- `alert.*` means all that begin so; null: every type.
  types text[],
  case_types text[],
  -- With all below it; null: everywhere.
  territory_id uuid,
  -- One after the other in the order of events; the first that fails holds up the rest.
  ordered boolean not null,
  -- Ed25519 signatures beside the others.
  ed25519 boolean not null,
  status text not null default 'active' check (status in ('active', 'paused', 'disabled')),
  disabled_because text check (disabled_because in ('gone', 'failing')),
  disabled_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade,
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
create index webhook_endpoint_of on mahalla.webhook_endpoint (tenant_id, principal_id, id);
select mahalla.protect('mahalla.webhook_endpoint', 'select, insert, update, delete');

-- Several may count at once while one is replaced.
create table mahalla.webhook_secret (
  tenant_id uuid not null,
  id uuid not null,
  endpoint_id uuid not null,
  kind text not null check (kind in ('v1', 'v1a')),
  sealed text not null,
  -- `whpk_…` of a key pair.
  public_key text,
  created_at timestamptz not null,
  expires_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, endpoint_id) references mahalla.webhook_endpoint (tenant_id, id) on delete cascade
);
create index webhook_secret_of on mahalla.webhook_secret (tenant_id, endpoint_id);
select mahalla.protect('mahalla.webhook_secret', 'select, insert, update, delete');

-- An endpoint's turn: when something of it is due, which process delivers it, and how it has been doing.
create table mahalla.webhook_lane (
  tenant_id uuid not null,
  endpoint_id uuid not null,
  -- Null: nothing waits.
  due_at timestamptz,
  -- The process that delivers; it holds the lease `webhooks <holder>` as long as it lives.
  holder text,
  -- In a row.
  failures integer not null default 0,
  -- Nothing is sent before.
  rest_until timestamptz,
  -- Failures since the last success, counted anew after a day; enough of them start the clock.
  recent integer not null default 0,
  recent_from timestamptz,
  -- Every attempt since then has failed.
  failing_since timestamptz,
  primary key (tenant_id, endpoint_id),
  foreign key (tenant_id, endpoint_id) references mahalla.webhook_endpoint (tenant_id, id) on delete cascade
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
-- Serves the claim: who is due.
create index webhook_lane_due on mahalla.webhook_lane (due_at) where due_at is not null;
select mahalla.protect('mahalla.webhook_lane', 'select, insert, update');

-- An event for an endpoint, once however often the event is looked at. A test has no event and stands under an id of its own.
create table mahalla.webhook_message (
  tenant_id uuid not null,
  endpoint_id uuid not null,
  event_id uuid not null,
  type text not null,
  -- Place in the tenant's order; 0 of a test.
  position bigint not null,
  -- As it is sent: every attempt sends the same.
  body text not null,
  state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
  -- Begun since it was last asked for.
  attempts smallint not null default 0,
  -- Of a waiting one: not before.
  next_at timestamptz not null,
  -- The recovery that has asked for it again.
  recovery_id uuid,
  created_at timestamptz not null,
  settled_at timestamptz,
  primary key (tenant_id, endpoint_id, event_id),
  foreign key (tenant_id, endpoint_id) references mahalla.webhook_endpoint (tenant_id, id) on delete cascade
);
-- What an endpoint is to get next: of those without an order, and of those with one.
create index webhook_message_due on mahalla.webhook_message (tenant_id, endpoint_id, next_at) where state = 'waiting';
create index webhook_message_order on mahalla.webhook_message (tenant_id, endpoint_id, position) where state = 'waiting';
-- Dead letters, for the list and for recoveries.
create index webhook_message_failed on mahalla.webhook_message (tenant_id, endpoint_id, event_id) where state = 'failed';
create index webhook_message_recovery on mahalla.webhook_message (tenant_id, recovery_id) where recovery_id is not null;
select mahalla.protect('mahalla.webhook_message', 'select, insert, update');

create table mahalla.webhook_attempt (
  tenant_id uuid not null,
  endpoint_id uuid not null,
  -- UUIDv7, of its end.
  id uuid not null,
  event_id uuid not null,
  number smallint not null,
  at timestamptz not null,
  -- Milliseconds.
  took integer not null,
  -- Of the answer; null: there was none.
  status smallint,
  delivered boolean not null,
  -- Why not, for people.
  failure text,
  -- How the answer began, masked.
  excerpt text,
  primary key (tenant_id, endpoint_id, id),
  foreign key (tenant_id, endpoint_id, event_id) references mahalla.webhook_message (tenant_id, endpoint_id, event_id) on delete cascade
);
create index webhook_attempt_of on mahalla.webhook_attempt (tenant_id, endpoint_id, event_id);
select mahalla.protect('mahalla.webhook_attempt', 'select');

-- Somebody asked for everything that failed since a moment; how far that is stands at its messages.
create table mahalla.webhook_recovery (
  tenant_id uuid not null,
  id uuid not null,
  endpoint_id uuid not null,
  since timestamptz not null,
  -- All of them have been asked for again.
  complete boolean not null default false,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, endpoint_id) references mahalla.webhook_endpoint (tenant_id, id) on delete cascade
);
create index webhook_recovery_of on mahalla.webhook_recovery (tenant_id, endpoint_id, id);
select mahalla.protect('mahalla.webhook_recovery', 'select, insert, update');
