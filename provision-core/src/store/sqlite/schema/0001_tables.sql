-- One table per kind of row, one per stream. Never edited after a release: a change is a new migration.

CREATE TABLE "target" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "target__key" ON "target" ("realm", "key");

CREATE TABLE "source" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "source__key" ON "source" ("realm", "key");

CREATE TABLE "onboarding" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "onboarding__key" ON "onboarding" ("realm", "key");

CREATE TABLE "feed" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "source" TEXT,
  "content" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "feed__key" ON "feed" ("realm", "key");
CREATE INDEX "feed__source" ON "feed" ("realm", "source", "key") WHERE "source" IS NOT NULL;
CREATE INDEX "feed__content" ON "feed" ("realm", "content", "key") WHERE "content" IS NOT NULL;

CREATE TABLE "feed_change" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "feed" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "feed_change__key" ON "feed_change" ("realm", "key");
CREATE INDEX "feed_change__feed" ON "feed_change" ("realm", "feed", "key") WHERE "feed" IS NOT NULL;

CREATE TABLE "source_record" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "identity" TEXT,
  "source" TEXT,
  "ordinal" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "source_record__key" ON "source_record" ("realm", "key");
CREATE INDEX "source_record__identity" ON "source_record" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE INDEX "source_record__source" ON "source_record" ("realm", "source", "key") WHERE "source" IS NOT NULL;
CREATE UNIQUE INDEX "source_record__ordinal" ON "source_record" ("realm", "ordinal") WHERE "ordinal" IS NOT NULL;

CREATE TABLE "identity" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "source_key" TEXT,
  "next_change_at" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "identity__key" ON "identity" ("realm", "key");
CREATE UNIQUE INDEX "identity__source_key" ON "identity" ("realm", "source_key") WHERE "source_key" IS NOT NULL;
CREATE INDEX "identity__next_change_at" ON "identity" ("realm", "next_change_at", "key") WHERE "next_change_at" IS NOT NULL;

CREATE TABLE "identity_key" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "identity" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "identity_key__key" ON "identity_key" ("realm", "key");
CREATE INDEX "identity_key__identity" ON "identity_key" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;

CREATE TABLE "grant_" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "identity" TEXT,
  "target" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "grant___key" ON "grant_" ("realm", "key");
CREATE INDEX "grant___identity" ON "grant_" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE INDEX "grant___target" ON "grant_" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "link" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "identity" TEXT,
  "object" TEXT,
  "target" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "link__key" ON "link" ("realm", "key");
CREATE INDEX "link__identity" ON "link" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE UNIQUE INDEX "link__object" ON "link" ("realm", "object") WHERE "object" IS NOT NULL;
CREATE INDEX "link__target" ON "link" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "membership" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "link" TEXT,
  "edge_group" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "membership__key" ON "membership" ("realm", "key");
CREATE INDEX "membership__link" ON "membership" ("realm", "link", "key") WHERE "link" IS NOT NULL;
CREATE INDEX "membership__edge_group" ON "membership" ("realm", "edge_group", "key") WHERE "edge_group" IS NOT NULL;

CREATE TABLE "name" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "owner" TEXT,
  "plan" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "name__key" ON "name" ("realm", "key");
CREATE INDEX "name__owner" ON "name" ("realm", "owner", "key") WHERE "owner" IS NOT NULL;
CREATE INDEX "name__plan" ON "name" ("realm", "plan", "key") WHERE "plan" IS NOT NULL;

CREATE TABLE "work" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "due" TEXT,
  "ready" TEXT,
  "fence" TEXT,
  "identity" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "work__key" ON "work" ("realm", "key");
CREATE INDEX "work__due" ON "work" ("realm", "due", "key") WHERE "due" IS NOT NULL;
CREATE INDEX "work__ready" ON "work" ("realm", "ready", "key") WHERE "ready" IS NOT NULL;
CREATE INDEX "work__fence" ON "work" ("realm", "fence", "key") WHERE "fence" IS NOT NULL;
CREATE INDEX "work__identity" ON "work" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;

CREATE TABLE "plan" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "state" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "plan__key" ON "plan" ("realm", "key");
CREATE INDEX "plan__state" ON "plan" ("realm", "state", "key") WHERE "state" IS NOT NULL;

CREATE TABLE "plan_chunk" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "plan" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "plan_chunk__key" ON "plan_chunk" ("realm", "key");
CREATE INDEX "plan_chunk__plan" ON "plan_chunk" ("realm", "plan", "key") WHERE "plan" IS NOT NULL;

CREATE TABLE "journal" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "open" TEXT,
  "identity" TEXT,
  "plan" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "journal__key" ON "journal" ("realm", "key");
CREATE INDEX "journal__open" ON "journal" ("realm", "open", "key") WHERE "open" IS NOT NULL;
CREATE INDEX "journal__identity" ON "journal" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE INDEX "journal__plan" ON "journal" ("realm", "plan", "key") WHERE "plan" IS NOT NULL;

CREATE TABLE "hold" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "state" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "hold__key" ON "hold" ("realm", "key");
CREATE INDEX "hold__state" ON "hold" ("realm", "state", "key") WHERE "state" IS NOT NULL;

CREATE TABLE "dispute" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "state" TEXT,
  "target" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "dispute__key" ON "dispute" ("realm", "key");
CREATE INDEX "dispute__state" ON "dispute" ("realm", "state", "key") WHERE "state" IS NOT NULL;
CREATE INDEX "dispute__target" ON "dispute" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "spending" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "target" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "spending__key" ON "spending" ("realm", "key");
CREATE INDEX "spending__target" ON "spending" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "waiting" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "waits_for" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "waiting__key" ON "waiting" ("realm", "key");
CREATE INDEX "waiting__waits_for" ON "waiting" ("realm", "waits_for", "key") WHERE "waits_for" IS NOT NULL;

CREATE TABLE "lease" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "fence" TEXT,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "lease__key" ON "lease" ("realm", "key");
CREATE INDEX "lease__fence" ON "lease" ("realm", "fence", "key") WHERE "fence" IS NOT NULL;

CREATE TABLE "seal" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "seal__key" ON "seal" ("realm", "key");

CREATE TABLE "request" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "request__key" ON "request" ("realm", "key");

CREATE TABLE "meta" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "meta__key" ON "meta" ("realm", "key");

CREATE TABLE "audit" (
  "number" INTEGER PRIMARY KEY AUTOINCREMENT,
  "realm" TEXT NOT NULL,
  "identity" TEXT,
  "plan" TEXT,
  "body" TEXT NOT NULL
);
CREATE INDEX "audit__number" ON "audit" ("realm", "number");
CREATE INDEX "audit__identity" ON "audit" ("realm", "identity", "number") WHERE "identity" IS NOT NULL;
CREATE INDEX "audit__plan" ON "audit" ("realm", "plan", "number") WHERE "plan" IS NOT NULL;

CREATE TABLE "outbox" (
  "number" INTEGER PRIMARY KEY AUTOINCREMENT,
  "realm" TEXT NOT NULL,
  "identity" TEXT,
  "body" TEXT NOT NULL
);
CREATE INDEX "outbox__number" ON "outbox" ("realm", "number");
CREATE INDEX "outbox__identity" ON "outbox" ("realm", "identity", "number") WHERE "identity" IS NOT NULL;
