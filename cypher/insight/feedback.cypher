// title: How the arms of an experiment did
// description: For each model version and arm to which events were attributed: how often products were shown and
//   clicked, how many users were shown something, and how many of them bought what they had been shown, within $days of
//   the first time. Each rate has its 95 % confidence interval (Wilson's, which is right for small counts too). The
//   exposures of one user are alike, so the interval of the click rate counts them as the fewer independent ones that
//   their spread over users betrays (the design effect, by the delta method: Deng et al. 2018). Difference is that of
//   the purchase rate to the arm $control of the same model, with its interval (Agresti and Caffo 2000): an arm is
//   better where zero lies below it. An exposure without a time tells nothing of what was bought after it: purchases
//   and buyers are those of users with one that has a time, and null where there are none. Events are what kg ingest
//   events recorded as exposed and clicked with model and arm.
// param category: STRING = null -- path of a category to stay in, its sub-categories included
// param model: STRING = null -- the one model version to show
// param since: ZONED DATETIME = null -- first exposures from then on only
// param control: STRING = null -- the arm with which the others of its model are compared; by default that named
//   control, or else the first by name
// param days: INTEGER in 1..3660 = 30 -- how long after it a purchase is put down to an exposure
// param limit: INTEGER = 50 -- most rows to return
// example: {"category": "Instruments"}
// returns: model STRING, arm STRING, users INTEGER, exposures INTEGER, clicks INTEGER, purchases INTEGER,
//   click_rate FLOAT, low FLOAT, high FLOAT, buyers INTEGER, purchase_rate FLOAT, purchase_low FLOAT,
//   purchase_high FLOAT, difference FLOAT, difference_low FLOAT, difference_high FLOAT

CYPHER 25
MATCH (u:User)-[shown:EXPOSED]->(p:Product)
WHERE shown.model >= coalesce($model, '') AND ($model IS NULL OR shown.model = $model)
FILTER $category IS NULL
  OR EXISTS { (p)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category}) }
FILTER $since IS NULL OR shown.first_at >= $since
OPTIONAL MATCH (u)-[click:CLICKED {model: shown.model, arm: shown.arm}]->(p)
OPTIONAL MATCH (u)-[bought:BOUGHT]->(p)
// Each purchase by its own time; where events carry none, the relation's latest counts.
LET from_ = shown.first_at.epochSeconds
LET times = CASE WHEN size(coalesce(bought.times, [])) > 0 THEN bought.times ELSE [bought.at.epochSeconds] END
LET purchases = CASE
                  WHEN from_ IS NOT NULL THEN size([at IN times WHERE at >= from_ AND at <= from_ + $days * 86400])
                END
WITH shown.model AS model, shown.arm AS arm, u, sum(shown.count) AS exposures, sum(coalesce(click.count, 0)) AS clicks,
     sum(purchases) AS purchases, count(purchases) > 0 AS timed
WITH model, arm, collect({exposures: exposures, clicks: clicks}) AS each, count(u) AS users,
     sum(exposures) AS exposures, sum(clicks) AS clicks, nullIf(count(CASE WHEN timed THEN 1 END), 0) AS followed,
     sum(purchases) AS purchases, count(CASE WHEN purchases > 0 THEN 1 END) AS buyers
// More clicks than exposures means that exposures were not recorded: a rate would be a lie.
LET rate = CASE WHEN clicks <= exposures THEN 1.0 * clicks / exposures END
// Variance of the ratio of two sums over users, and how much greater it is than if each exposure stood alone.
LET variance = CASE
                 WHEN users > 1 THEN
                   reduce(s = 0.0, x IN each | s + (x.clicks - rate * x.exposures) ^ 2) / (1.0 * exposures) ^ 2
                   * users / (users - 1.0)
               END
LET effect = variance / (rate * (1.0 - rate) / exposures)
LET n = exposures / CASE WHEN effect > 1.0 THEN effect ELSE 1.0 END
// The square of the normal distribution's 97.5 % point.
LET z2 = 3.841459
LET middle = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n),
    half = sqrt(z2 * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n),
    bought = 1.0 * buyers / followed
LET bought_middle = (bought + z2 / (2.0 * followed)) / (1.0 + z2 / followed),
    bought_half = sqrt(z2 * (bought * (1.0 - bought) / followed + z2 / (4.0 * followed * followed)))
                  / (1.0 + z2 / followed)
ORDER BY model, arm
WITH collect({
       model: model, arm: arm, users: users, exposures: exposures, clicks: clicks, rate: rate, low: middle - half,
       high: middle + half, purchases: CASE WHEN followed > 0 THEN purchases END,
       buyers: CASE WHEN followed > 0 THEN buyers END, bought: bought, bought_low: bought_middle - bought_half,
       bought_high: bought_middle + bought_half, n: followed + 2.0,
       p: (buyers + 1.0) / (followed + 2.0)
     }) AS arms, z2
UNWIND arms AS x
LET others = [y IN arms WHERE y.model = x.model]
LET named = [y IN others WHERE y.arm = coalesce($control, 'control')]
LET control = CASE WHEN $control IS NULL AND named = [] THEN others[0] ELSE named[0] END
LET compared = CASE WHEN control.arm <> x.arm THEN control END
LET difference = x.p - compared.p,
    spread = sqrt(z2 * (x.p * (1.0 - x.p) / x.n + compared.p * (1.0 - compared.p) / compared.n))
RETURN x.model AS model, x.arm AS arm, x.users AS users, x.exposures AS exposures, x.clicks AS clicks,
       x.purchases AS purchases, x.rate AS click_rate, x.low AS low, x.high AS high, x.buyers AS buyers,
       x.bought AS purchase_rate, x.bought_low AS purchase_low, x.bought_high AS purchase_high, difference,
       difference - spread AS difference_low, difference + spread AS difference_high
ORDER BY exposures DESC, model, arm
LIMIT $limit
