package main

import "bursar/accounting"

// exportedDecision is the guard's decision in a line of the export. The names
// are those of the columns of budget_decisions.
type exportedDecision struct {
	Verdict      accounting.BudgetVerdict   `json:"verdict"`
	Reason       accounting.BudgetReason    `json:"reason,omitempty"`
	Field        string                     `json:"field,omitempty"`
	Detail       string                     `json:"detail,omitempty"`
	Model        string                     `json:"model,omitempty"`
	DowngradedTo string                     `json:"downgraded_to,omitempty"`
	Bound        *accounting.Amount         `json:"bound_usd,omitempty"`
	BoundBy      accounting.BoundBy         `json:"bound_by,omitempty"`
	Replica      string                     `json:"replica,omitempty"`
	Rate         *accounting.Amount         `json:"usd_to_eur,omitempty"`
	Stop         string                     `json:"stop_id,omitempty"`
	Experiment   string                     `json:"experiment_id,omitempty"`
	Arm          string                     `json:"arm,omitempty"`
	ArmModel     string                     `json:"arm_model,omitempty"`
	Budgets      []accounting.DecisionShare `json:"budgets,omitempty"`
	Count        int                        `json:"count,omitempty"`
	Calls        []accounting.RequestID     `json:"calls,omitempty"`
}

func exportedDecisionOf(d *accounting.BudgetDecision) *exportedDecision {
	if d == nil {
		return nil
	}
	out := &exportedDecision{
		Verdict: d.Verdict, Reason: d.Reason, Field: d.Field, Detail: d.Detail,
		Model: d.Model, DowngradedTo: d.DowngradedTo, BoundBy: d.BoundBy, Replica: d.Replica, Stop: d.Stop,
		Experiment: d.Experiment, Arm: d.Arm, ArmModel: d.ArmModel,
		Count: d.Count, Calls: d.Calls,
	}
	if d.Bound.Known {
		out.Bound = &accounting.Amount{Decimal: d.Bound.Value}
	}
	if !d.Rate.IsZero() {
		out.Rate = &accounting.Amount{Decimal: d.Rate}
	}
	for i := range d.Budgets {
		s := &d.Budgets[i]
		out.Budgets = append(out.Budgets, accounting.DecisionShare{
			BudgetID: s.BudgetID, EachValue: s.EachValue, PeriodStart: s.PeriodStart, Verdict: s.Verdict, Reason: s.Reason,
			Limit: accounting.Amount{Decimal: s.Limit}, Settled: accounting.Amount{Decimal: s.Settled},
			Reserved: accounting.Amount{Decimal: s.Reserved}, Charge: accounting.Amount{Decimal: s.Charge},
		})
	}
	return out
}
