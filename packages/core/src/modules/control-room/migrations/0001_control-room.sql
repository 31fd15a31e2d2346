-- Alerts as rules see them, maintenance windows, who is on call, and what was done to assets. What an alert, an incident or a work order is
-- to people is its case.

create table mahalla.maintenance_window (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  from_at timestamptz not null,
  until_at timestamptz not null,
  reason text not null,
  -- Where: any of these. Which rules: these, or all when empty.
  devices uuid[] not null,
  assets uuid[] not null,
  territories uuid[] not null,
  rules text[] not null,
  created_by uuid,
  version integer not null default 1,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  check (from_at < until_at),
  foreign key (tenant_id, created_by) references mahalla.principal (tenant_id, id)
);
create index maintenance_window_until on mahalla.maintenance_window (tenant_id, until_at);
select mahalla.protect('mahalla.maintenance_window', 'select, insert, update');

create table mahalla.alert (
  tenant_id uuid not null,
  case_id uuid not null,
  rule text not null,
  -- A device, an asset or a set of them, as the rule names it.
  originator text not null,
  -- The latest stretch of the condition that it stands for; the rule counts them.
  episode text not null,
  severity text not null check (severity in ('critical', 'major', 'minor', 'warning', 'indeterminate')),
  started_at timestamptz not null,
  -- Of the latest reading that fulfilled the condition, and how many times the rule said so. No version of the case counts these.
  last_at timestamptz not null,
  times integer not null default 1,
  details jsonb,
  flapping boolean not null,
  -- Raised too often: it is not cleared before it has been calm. Its condition holds no more since, and when that will have been long enough.
  guarded boolean not null default false,
  quiet_since timestamptz,
  calm_at timestamptz,
  acknowledged_at timestamptz,
  cleared_at timestamptz,
  -- While it is suppressed: by which window, and when to look again.
  suppressed_until timestamptz,
  window_id uuid,
  primary key (tenant_id, case_id),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id) on delete cascade,
  foreign key (tenant_id, window_id) references mahalla.maintenance_window (tenant_id, id)
);
-- One active alert for an originator and a rule, whoever raises it.
create unique index alert_active on mahalla.alert (tenant_id, rule, originator) where cleared_at is null;
-- The wall of a control room: what is active or nobody has seen, the newest first.
create index alert_current on mahalla.alert (tenant_id, case_id desc) where cleared_at is null or acknowledged_at is null;
create index alert_of_originator on mahalla.alert (tenant_id, originator, case_id desc);
create index alert_suppressed on mahalla.alert (suppressed_until) where suppressed_until is not null;
create index alert_calm on mahalla.alert (calm_at) where calm_at is not null;
create index alert_age on mahalla.alert (tenant_id, cleared_at) where cleared_at is not null;
select mahalla.protect('mahalla.alert', 'select, insert, update');

-- Every episode that was ever raised, so that none is raised twice: a rule repeats itself after a crash.
create table mahalla.alert_episode (
  tenant_id uuid not null,
  rule text not null,
  originator text not null,
  episode text not null,
  case_id uuid not null,
  -- Of the reading that began it.
  raised_at timestamptz not null,
  primary key (tenant_id, rule, originator, episode),
  foreign key (tenant_id, case_id) references mahalla.alert (tenant_id, case_id) on delete cascade
);
create index alert_episode_alert on mahalla.alert_episode (tenant_id, case_id);
select mahalla.protect('mahalla.alert_episode', 'select, insert');

-- Assets on which an alert shows: its own, and those to which it was passed on.
create table mahalla.alert_propagation (
  tenant_id uuid not null,
  asset_id uuid not null,
  case_id uuid not null,
  own boolean not null,
  primary key (tenant_id, asset_id, case_id),
  foreign key (tenant_id, case_id) references mahalla.alert (tenant_id, case_id) on delete cascade
);
create index alert_propagation_alert on mahalla.alert_propagation (tenant_id, case_id);
select mahalla.protect('mahalla.alert_propagation', 'select, insert');

create table mahalla.rota (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  name text not null,
  version integer not null default 1,
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
select mahalla.protect('mahalla.rota', 'select, insert, update, delete');

-- A person's weekly hours in a layer of a rota, in the tenant's time zone.
create table mahalla.rota_shift (
  tenant_id uuid not null,
  id uuid not null,
  rota_id uuid not null,
  -- From 0; the first that has a shift at a moment answers for it.
  layer integer not null,
  -- ISO weekdays on which the shift begins.
  days integer[] not null,
  -- Minutes of the local day. A shift that does not end after it begins goes on into the next day.
  from_minute integer not null check (from_minute between 0 and 1439),
  to_minute integer not null check (to_minute between 0 and 1439),
  principal_id uuid not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, rota_id) references mahalla.rota (tenant_id, id) on delete cascade,
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index rota_shift_rota on mahalla.rota_shift (tenant_id, rota_id, layer);
create index rota_shift_person on mahalla.rota_shift (tenant_id, principal_id);
select mahalla.protect('mahalla.rota_shift', 'select, insert, delete');

-- People who take turns of whole weeks in a layer of a rota, in the tenant's time zone.
create table mahalla.rota_rotation (
  tenant_id uuid not null,
  id uuid not null,
  rota_id uuid not null,
  layer integer not null,
  -- The local day and its minute of the first handover.
  begins date not null,
  handover_minute integer not null check (handover_minute between 0 and 1439),
  -- How long a turn is.
  weeks integer not null check (weeks > 0),
  primary key (tenant_id, id),
  foreign key (tenant_id, rota_id) references mahalla.rota (tenant_id, id) on delete cascade
);
create index rota_rotation_rota on mahalla.rota_rotation (tenant_id, rota_id, layer);
select mahalla.protect('mahalla.rota_rotation', 'select, insert, delete');

-- In the order of their turns. Who goes leaves their place, so that the others keep their weeks.
create table mahalla.rota_member (
  tenant_id uuid not null,
  rotation_id uuid not null,
  place integer not null,
  principal_id uuid,
  primary key (tenant_id, rotation_id, place),
  foreign key (tenant_id, rotation_id) references mahalla.rota_rotation (tenant_id, id) on delete cascade,
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete set null (principal_id)
);
create index rota_member_person on mahalla.rota_member (tenant_id, principal_id) where principal_id is not null;
select mahalla.protect('mahalla.rota_member', 'select, insert, update, delete');

-- Somebody stands in for whoever would be on call.
create table mahalla.rota_override (
  tenant_id uuid not null,
  id uuid not null,
  rota_id uuid not null,
  from_at timestamptz not null,
  until_at timestamptz not null,
  principal_id uuid not null,
  primary key (tenant_id, id),
  check (from_at < until_at),
  foreign key (tenant_id, rota_id) references mahalla.rota (tenant_id, id) on delete cascade,
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index rota_override_rota on mahalla.rota_override (tenant_id, rota_id, until_at);
create index rota_override_person on mahalla.rota_override (tenant_id, principal_id);
select mahalla.protect('mahalla.rota_override', 'select, insert, delete');

create table mahalla.ladder (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  name text not null,
  severities text[] not null,
  -- Of alerts there and below; everywhere when null.
  territory_id uuid,
  -- The whole ladder again after so many minutes, so many times.
  repeat_every integer check (repeat_every > 0),
  repeat_times integer not null default 0,
  version integer not null default 1,
  primary key (tenant_id, id),
  unique (tenant_id, name),
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
select mahalla.protect('mahalla.ladder', 'select, insert, update, delete');

create table mahalla.ladder_step (
  tenant_id uuid not null,
  ladder_id uuid not null,
  place integer not null,
  -- Minutes without an acknowledgement.
  after integer not null check (after >= 0),
  rota_id uuid,
  role text,
  principal_id uuid,
  primary key (tenant_id, ladder_id, place),
  check (num_nonnulls(rota_id, role, principal_id) = 1),
  foreign key (tenant_id, ladder_id) references mahalla.ladder (tenant_id, id) on delete cascade,
  foreign key (tenant_id, rota_id) references mahalla.rota (tenant_id, id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index ladder_step_rota on mahalla.ladder_step (tenant_id, rota_id) where rota_id is not null;
create index ladder_step_person on mahalla.ladder_step (tenant_id, principal_id) where principal_id is not null;
select mahalla.protect('mahalla.ladder_step', 'select, insert, delete');

-- An alert that nobody has acknowledged yet, on its way up. The row goes with the acknowledgement.
create table mahalla.alert_ladder (
  tenant_id uuid not null,
  case_id uuid not null,
  ladder_id uuid not null,
  began_at timestamptz not null,
  round integer not null default 0,
  -- The step that comes next, counted from 0.
  step integer not null default 0,
  due_at timestamptz not null,
  primary key (tenant_id, case_id),
  foreign key (tenant_id, case_id) references mahalla.alert (tenant_id, case_id) on delete cascade,
  foreign key (tenant_id, ladder_id) references mahalla.ladder (tenant_id, id) on delete cascade
);
create index alert_ladder_due on mahalla.alert_ladder (due_at);
create index alert_ladder_ladder on mahalla.alert_ladder (tenant_id, ladder_id);
select mahalla.protect('mahalla.alert_ladder', 'select, insert, update, delete');

-- What was done to an asset, when and by whom; money in minor units of the tenant's currency.
create table mahalla.maintenance_log (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  asset_id uuid not null,
  done_at timestamptz not null,
  done_by uuid,
  kind text not null check (kind in ('inspect', 'repair', 'replace', 'flush')),
  what text not null,
  parts jsonb not null,
  work_order_id uuid,
  cost bigint check (cost >= 0),
  primary key (tenant_id, id),
  foreign key (tenant_id, done_by) references mahalla.principal (tenant_id, id),
  foreign key (tenant_id, work_order_id) references mahalla.civic_case (tenant_id, id) on delete cascade
);
create index maintenance_log_asset on mahalla.maintenance_log (tenant_id, asset_id, id desc);
create index maintenance_log_person on mahalla.maintenance_log (tenant_id, done_by) where done_by is not null;
select mahalla.protect('mahalla.maintenance_log', 'select, insert');
