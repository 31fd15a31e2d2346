-- Alerts to staff that are active, and what is known of the traffic in one-time codes.

-- One for each kind and originator while it lasts; the case tells the rest. The row goes when the alert is cleared.
create table mahalla.security_alert (
  tenant_id uuid not null,
  kind text not null,
  -- An address block, a number's hash, a prefix, a file's hash.
  originator text not null,
  case_id uuid not null,
  times integer not null default 1,
  last_at timestamptz not null,
  -- When it clears by itself, unless it happens again.
  quiet_at timestamptz not null,
  primary key (tenant_id, kind, originator),
  unique (tenant_id, case_id),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id) on delete cascade
);
create index security_alert_quiet on mahalla.security_alert (quiet_at);
select mahalla.protect('mahalla.security_alert', 'select, insert, update, delete');

-- Codes sent to a prefix (a number without its last four digits) and used from it, in slots of five minutes.
create table mahalla.code_traffic (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  prefix text not null,
  slot timestamptz not null,
  sent integer not null default 0,
  used integer not null default 0,
  primary key (tenant_id, prefix, slot)
);
create index code_traffic_age on mahalla.code_traffic (slot);
select mahalla.protect('mahalla.code_traffic', 'select, insert, update');

create table mahalla.code_pause (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  prefix text not null,
  until timestamptz not null,
  primary key (tenant_id, prefix)
);
select mahalla.protect('mahalla.code_pause', 'select, insert, update');

-- Minor units of the tenant's currency, by its own day.
create table mahalla.code_spend (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  day date not null,
  spent bigint not null,
  codes integer not null,
  primary key (tenant_id, day)
);
select mahalla.protect('mahalla.code_spend', 'select, insert, update');

-- Who else has sent the same file.
create index attachment_of_hash on mahalla.attachment (tenant_id, sha256) where role = 'original' and sha256 is not null;
