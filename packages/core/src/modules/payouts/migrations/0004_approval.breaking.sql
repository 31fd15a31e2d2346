-- Payouts are approved before money is set aside for them, owed to the citizen from then on, counted against the limits of their day, and may
-- come back. An older server knows none of these states: breaking.
alter table mahalla.account drop constraint account_kind_check;
-- `liability`: what is owed to citizens and not paid yet.
alter table mahalla.account add constraint account_kind_check
  check (kind in ('funding', 'budget', 'liability', 'clearing', 'fees', 'suspense'));

alter table mahalla.payout drop constraint payout_state_check;
alter table mahalla.payout add constraint payout_state_check check (state in
  ('requested', 'approved', 'reserved', 'submitting', 'succeeded', 'failed', 'unknown', 'manual', 'returned'));
alter table mahalla.payout
  -- Who decided that it is paid; null: the engine. Somebody else approves what is large.
  add column decided_by uuid,
  -- Null where it needed nobody.
  add column approved_by uuid,
  -- The day whose limits it counts against; null while it counts against none.
  add column counted_on date,
  add foreign key (tenant_id, decided_by) references mahalla.principal (tenant_id, id),
  add foreign key (tenant_id, approved_by) references mahalla.principal (tenant_id, id),
  add constraint payout_four_eyes check (approved_by <> decided_by and approved_by <> principal_id);
-- Reconciliation: what a rail was to pay around a day.
create index payout_by_rail on mahalla.payout (rail, changed_at) where state in ('succeeded', 'returned', 'failed', 'unknown', 'manual');

create or replace function mahalla.guard_payout() returns trigger language plpgsql as $$
begin
  if (new.tenant_id, new.id, new.case_id, new.rule, new.attempt, new.principal_id, new.amount, new.currency, new.decided_by)
     is distinct from
     (old.tenant_id, old.id, old.case_id, old.rule, old.attempt, old.principal_id, old.amount, old.currency, old.decided_by)
     or (old.pending_id is not null and new.pending_id is distinct from old.pending_id)
     or (old.approved_by is not null and new.approved_by is distinct from old.approved_by)
  then
    raise exception 'payout %: what was decided does not change', old.id using errcode = '23514';
  end if;
  -- `submitting` goes back to `reserved` only when the rail surely did nothing.
  if old.state <> new.state and (old.state, new.state) not in (
    ('requested', 'approved'), ('requested', 'failed'), ('requested', 'manual'),
    ('approved', 'reserved'), ('approved', 'failed'), ('approved', 'manual'),
    ('reserved', 'submitting'), ('reserved', 'failed'),
    ('submitting', 'succeeded'), ('submitting', 'failed'), ('submitting', 'unknown'), ('submitting', 'reserved'),
    ('unknown', 'succeeded'), ('unknown', 'failed'), ('unknown', 'manual'),
    ('manual', 'succeeded'), ('manual', 'failed'), ('succeeded', 'returned'))
  then
    raise exception 'payout %: no way from % to %', old.id, old.state, new.state using errcode = '23514';
  end if;
  return new;
end
$$;

-- How much was sent on a day: to a person, by a rail, in all. Counted in the transaction that sends, so that no two of them pass a limit together.
create table mahalla.payout_spent (
  tenant_id uuid not null references mahalla.tenant,
  -- `tenant`, `rail:kash`, `person:…`.
  scope text not null check (length(scope) <= 250),
  -- In the tenant's time zone.
  day date not null,
  amount bigint not null check (amount >= 0),
  primary key (tenant_id, scope, day)
) with (fillfactor = 50);
select mahalla.protect('mahalla.payout_spent', 'select, insert, update, delete');

-- One comparison of a rail's register with the payouts of a day.
create table mahalla.reconciliation (
  tenant_id uuid not null references mahalla.tenant,
  rail text not null,
  -- UTC.
  day date not null,
  -- The last run; earlier ones are in the events.
  run_at timestamptz not null,
  -- Of this tenant's payouts: lines of the register, and what they come to, paid less returned.
  lines integer not null,
  amount bigint not null,
  -- What our books say of that day.
  payouts integer not null,
  booked bigint not null,
  -- The register could not be read.
  trouble text,
  primary key (tenant_id, rail, day)
);
select mahalla.protect('mahalla.reconciliation', 'select, insert, update');

create table mahalla.reconciliation_difference (
  tenant_id uuid not null references mahalla.tenant,
  id uuid not null,
  rail text not null,
  day date not null,
  kind text not null check (kind in ('missing-at-rail', 'missing-here', 'amount', 'scale', 'currency', 'reference', 'twice', 'day',
    'late-success', 'returned', 'succeeded-late')),
  -- Ours, or what the line says; a register may hold any text.
  subject text not null check (length(subject) <= 200),
  payout_id uuid,
  -- What each side says, for people.
  ours text not null,
  theirs text not null,
  -- Null while somebody must still look.
  resolved_at timestamptz,
  resolved_by uuid,
  resolution text,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  -- However often a day is compared, a difference is one.
  unique (tenant_id, rail, day, kind, subject),
  foreign key (tenant_id, payout_id) references mahalla.payout (tenant_id, id),
  foreign key (tenant_id, resolved_by) references mahalla.principal (tenant_id, id)
);
create index reconciliation_open on mahalla.reconciliation_difference (tenant_id, id desc) where resolved_at is null;
select mahalla.protect('mahalla.reconciliation_difference', 'select, insert, update');
