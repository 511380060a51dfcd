package admin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestWhatAnExperimentDidToACallIsExplained(t *testing.T) {
	row := refused()
	row.Budgets, row.ExperimentID, row.Arm = nil, ptr("less-ai"), ptr("none")
	row.Reason = ptr(string(accounting.ReasonWithoutAI))
	e := explained(row)
	require.Equal(t, "The call was refused with status 403 and not sent: experiment less-ai has its lead in the arm none, which uses no AI.", e.Summary)
	require.Equal(t, "Write to this lead without AI. GET /api/experiments/less-ai shows the experiment; POST /api/experiments/less-ai/rollback ends it.", e.WhatToDo)

	row.Verdict, row.Reason, row.Arm, row.Count = accounting.VerdictAllowed, nil, ptr("cheap"), 1
	for want, model := range map[string]*string{
		"The call was sent: no budget applied to it. Experiment less-ai has its lead in the arm cheap, so that it was sent with c/d.":    ptr("c/d"),
		"The call was sent: no budget applied to it. Experiment less-ai has its lead in the arm cheap, which leaves the call as it was.": nil,
	} {
		row.ArmModel = model
		require.Equal(t, want, explained(row).Summary)
	}
	row.ArmModel, row.DowngradedTo = ptr("c/d"), ptr("e/f")
	require.Contains(t, explained(row).Summary, "whose model c/d a budget replaced")
}
