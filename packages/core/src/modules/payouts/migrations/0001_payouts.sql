-- A double-entry ledger, and the payouts that it pays for.

-- Money is minor units. A positive balance is money that the account has to give; `funding`, where money comes from, goes below zero.
create table mahalla.account (
  tenant_id uuid not null references mahalla.tenant,
  id uuid not null,
  kind text not null check (kind in ('funding', 'budget', 'clearing', 'fees', 'suspense')),
  -- Tells apart accounts of one kind: of `clearing` and `fees` the rail.
  name text not null check (length(name) <= 200),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  -- May give what it does not have.
  overdraft boolean not null default false,
  -- Says nothing: a row may only be locked by who may update something of it.
  locked boolean not null default false check (not locked),
  -- What transfers say, kept by the statement that writes them. Nobody else may write these two.
  balance bigint not null default 0,
  reserved bigint not null default 0,
  primary key (tenant_id, id),
  unique (tenant_id, kind, name, currency),
  -- Target of the transfers' keys: both accounts of a transfer have its currency.
  unique (tenant_id, id, currency),
  constraint account_reserved check (reserved >= 0),
  constraint account_available check (overdraft or balance - reserved >= 0)
) with (fillfactor = 50);
select mahalla.protect('mahalla.account',
  'select, insert (tenant_id, id, kind, name, currency, overdraft), update (locked)');
revoke insert, update, delete on mahalla.account from mahalla_platform;

create table mahalla.payout (
  tenant_id uuid not null references mahalla.tenant,
  -- Ours; the rail knows the payment by it.
  id uuid not null,
  case_id uuid not null,
  -- What was decided to be paid for, as `share-of-fine`.
  rule text not null check (rule ~ '^[a-z0-9][a-z0-9-]{0,59}$'),
  -- A failed payout stays as it is; who tries again makes the next one.
  attempt smallint not null default 1 check (attempt between 1 and 100),
  principal_id uuid not null,
  -- Instance of the rail; empty when the city had none.
  rail text not null,
  payee_kind text not null check (payee_kind in ('phone', 'card-token')),
  -- An E.164 phone or the rail's token, never a card number; empty when none was known.
  payee text not null check (payee !~ '^[0-9]([ -]?[0-9]){12,18}$'),
  amount bigint not null check (amount between 1 and 1000000000000000),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  state text not null check (state in ('requested', 'reserved', 'submitting', 'succeeded', 'failed', 'unknown', 'manual')),
  -- The reserve transfer.
  pending_id uuid,
  -- The rail's name of the payment.
  reference text,
  -- For staff: why it stands as it does.
  detail text,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, case_id, rule, attempt),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id),
  -- Nothing leaves without money set aside and a rail. By hand a payout may also end without them.
  check (state not in ('reserved', 'submitting', 'unknown') or (pending_id is not null and rail <> ''))
);
-- One decision, one reward: only what has surely failed makes room for another.
create unique index payout_one on mahalla.payout (tenant_id, case_id, rule) where state <> 'failed';
-- Lists: newest first, by state and of one person.
create index payout_by_state on mahalla.payout (tenant_id, state, id desc);
create index payout_by_principal on mahalla.payout (tenant_id, principal_id, id desc);
-- Serves the safety net under the queue.
create index payout_unsettled on mahalla.payout (changed_at) where state in ('reserved', 'submitting', 'unknown');
select mahalla.protect('mahalla.payout', 'select, insert, update');

-- The only way a payout changes. `unknown` leaves by an answer about it or by a person, never by itself.
create function mahalla.guard_payout() returns trigger language plpgsql as $$
begin
  if (new.tenant_id, new.id, new.case_id, new.rule, new.attempt, new.principal_id, new.amount, new.currency)
     is distinct from
     (old.tenant_id, old.id, old.case_id, old.rule, old.attempt, old.principal_id, old.amount, old.currency)
     or (old.pending_id is not null and new.pending_id is distinct from old.pending_id)
  then
    raise exception 'payout %: what was decided does not change', old.id using errcode = '23514';
  end if;
  -- `submitting` goes back to `reserved` only when the rail surely did nothing.
  if old.state <> new.state and (old.state, new.state) not in (
    ('requested', 'reserved'), ('requested', 'manual'), ('reserved', 'submitting'),
    ('submitting', 'succeeded'), ('submitting', 'failed'), ('submitting', 'unknown'), ('submitting', 'reserved'),
    ('unknown', 'succeeded'), ('unknown', 'failed'), ('unknown', 'manual'),
    ('manual', 'succeeded'), ('manual', 'failed'))
  then
    raise exception 'payout %: no way from % to %', old.id, old.state, new.state using errcode = '23514';
  end if;
  return new;
end
$$;
create trigger guard before update on mahalla.payout for each row execute function mahalla.guard_payout();

-- Each row takes an amount from one account and gives it to another, so every transfer sums to zero in one currency.
create table mahalla.ledger_transfer (
  tenant_id uuid not null references mahalla.tenant,
  id uuid not null,
  -- `direct` moves; `reserve` only sets aside; `post` moves what was set aside, `void` releases it.
  kind text not null check (kind in ('direct', 'reserve', 'post', 'void')),
  debit_id uuid not null,
  credit_id uuid not null,
  currency text not null,
  amount bigint not null check (amount between 1 and 1000000000000000),
  -- The reservation that a post or a void resolves; at most one of them does.
  pending_id uuid,
  pending_kind text generated always as (case when pending_id is not null then 'reserve' end) stored,
  -- For people: what it was for. No personal data.
  memo text not null,
  payout_id uuid,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, pending_id),
  unique (tenant_id, id, kind, debit_id, credit_id, currency, amount),
  check (debit_id <> credit_id),
  check ((kind in ('post', 'void')) = (pending_id is not null)),
  foreign key (tenant_id, debit_id, currency) references mahalla.account (tenant_id, id, currency),
  foreign key (tenant_id, credit_id, currency) references mahalla.account (tenant_id, id, currency),
  foreign key (tenant_id, payout_id) references mahalla.payout (tenant_id, id),
  -- It resolves a reservation, and exactly what that one has set aside.
  foreign key (tenant_id, pending_id, pending_kind, debit_id, credit_id, currency, amount)
    references mahalla.ledger_transfer (tenant_id, id, kind, debit_id, credit_id, currency, amount)
);
create index transfer_by_debit on mahalla.ledger_transfer (tenant_id, debit_id, id desc);
create index transfer_by_credit on mahalla.ledger_transfer (tenant_id, credit_id, id desc);
create index transfer_by_payout on mahalla.ledger_transfer (tenant_id, payout_id) where payout_id is not null;
select mahalla.protect('mahalla.ledger_transfer', 'select, insert');
revoke insert, update, delete on mahalla.ledger_transfer from mahalla_platform;
alter table mahalla.payout add foreign key (tenant_id, pending_id) references mahalla.ledger_transfer (tenant_id, id);

-- A mistake is corrected by another transfer. For everybody, the owner included.
create function mahalla.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% never changes: correct it with another row', tg_relid::regclass using errcode = '42501';
end
$$;
create trigger insert_only before update or delete or truncate on mahalla.ledger_transfer
  for each statement execute function mahalla.refuse_change();

-- Keeps the balances in the statement that writes the transfer. Runs as the owner: the application may not write balances. Audited:
-- touches the two accounts that the new row names, of its own tenant.
create function mahalla.keep_balances() returns trigger
  language plpgsql security definer set search_path = pg_catalog, mahalla
  as $$
begin
  -- Always in this order, so that transfers between the same accounts do not block each other for ever.
  perform 1 from mahalla.account
    where tenant_id = new.tenant_id and id in (new.debit_id, new.credit_id)
    order by id for no key update;
  update mahalla.account set
    balance = balance - case when new.kind in ('direct', 'post') then new.amount else 0 end,
    reserved = reserved + case new.kind when 'reserve' then new.amount when 'direct' then 0 else -new.amount end
    where tenant_id = new.tenant_id and id = new.debit_id;
  if new.kind in ('direct', 'post') then
    update mahalla.account set balance = balance + new.amount where tenant_id = new.tenant_id and id = new.credit_id;
  end if;
  return null;
end
$$;
revoke execute on function mahalla.keep_balances() from public;
create trigger balances after insert on mahalla.ledger_transfer
  for each row execute function mahalla.keep_balances();
